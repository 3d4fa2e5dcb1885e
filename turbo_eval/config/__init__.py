"""The settings of a run: one strict tree, merged from flags, environment and file."""
