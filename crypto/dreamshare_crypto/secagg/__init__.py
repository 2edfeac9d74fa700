"""The SA-2 machines of docs/protocol.md: sans-IO, one epoch each, entropy and time handed in."""
