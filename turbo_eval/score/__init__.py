"""Plan and run scoring."""
