"""Tables, plots and pages made of a summary."""

from turbo_eval.report.clips import ClipEntry
from turbo_eval.report.write import write_report

__all__ = ["ClipEntry", "write_report"]
