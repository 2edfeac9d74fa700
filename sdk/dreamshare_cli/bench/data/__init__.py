"""Where a recipe's examples come from: one module for each kind of source."""
