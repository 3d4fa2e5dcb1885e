"""Decode, encode, probe and sample video; nothing else in the project decodes."""
