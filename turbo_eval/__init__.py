"""Evaluate text-to-video models: prompts, videos, features, scores, statistics, pages."""

__version__ = "0.1.0"
