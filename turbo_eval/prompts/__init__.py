"""Prompt suites."""
