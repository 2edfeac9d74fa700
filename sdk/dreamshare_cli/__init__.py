"""The `dreamshare` command: one module per verb, everything heavy imported inside the verb."""
