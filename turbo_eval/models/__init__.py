"""Text-to-video systems behind one protocol."""
