"""Train and distil text-to-video models, and export them for `turbo-eval`."""
