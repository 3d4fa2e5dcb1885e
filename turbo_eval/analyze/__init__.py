"""Statistics over scores."""
