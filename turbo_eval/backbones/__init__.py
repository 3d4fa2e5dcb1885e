"""The networks that look at video."""
