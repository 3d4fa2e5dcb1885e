"""Ground floor of the package: errors, rows, tables, run folders. Imports no torch."""
