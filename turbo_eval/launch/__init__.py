"""Executors of work items; the only package that starts processes and handles signals."""

from turbo_eval.launch.batches import with_batch_halving
from turbo_eval.launch.command import run_command
from turbo_eval.launch.local import Outcome, run_items
from turbo_eval.launch.stop import Stop, graceful_stop

__all__ = ["Outcome", "Stop", "graceful_stop", "run_command", "run_items", "with_batch_halving"]
