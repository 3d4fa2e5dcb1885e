"""What every stage builds on: errors, records, storage, run folders. Imports no torch."""
