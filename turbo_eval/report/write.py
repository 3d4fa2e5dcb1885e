"""One folder that opens from disk, without a network and without a server."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turbo_eval.core.errors import UsageError
from turbo_eval.core.store import write_text_atomic
from turbo_eval.report import clips as clip_files
from turbo_eval.report import html, plots, tables
from turbo_eval.report.clips import MAX_PROMPTS, ClipEntry
from turbo_eval.report.data import read


def write_report(
    summary: Mapping[str, Any],
    clips: Sequence[ClipEntry],
    out: Path,
    *,
    max_prompts: int = MAX_PROMPTS,
) -> Path:
    """Write the report of one run; the same input gives the same bytes.

    The folder holds index.html, summary.json, tables/ (Markdown, CSV, LaTeX), figures/ (SVG) and
    clips/ (only those shown). An earlier report in the folder is replaced; index.html is written
    last, so it never names a file that is not there yet.

    Args:
        summary: The object of `summary.json`, as `Summary.to_json()` gives it.
        clips: Every clip that may be shown, in the order of the suite.
        out: The folder; made when missing.
        max_prompts: At most this many prompts are shown with their clips, 0 or more.

    Returns:
        The path of index.html.

    Raises:
        InputError: The summary has no model, or not the form of a summary.
        PrerequisiteError: The folder cannot be written.
        UsageError: `max_prompts` is negative.
    """
    if max_prompts < 0:
        raise UsageError(f"cannot show {max_prompts} prompts", fix="give 0 or more")
    out = Path(out)
    data = read(summary)
    rows = clip_files.choose(clips, data.models, max_prompts)
    names = clip_files.copy(rows, out / "clips")
    figures = plots.figures(data)
    for name, text in figures.items():
        write_text_atomic(out / "figures" / name, text)
    write_text_atomic(out / "tables" / "results.md", tables.markdown(data))
    write_text_atomic(out / "tables" / "results.csv", tables.table_csv(data))
    write_text_atomic(out / "tables" / "results.tex", tables.latex(data))
    write_text_atomic(out / "summary.json", _json(summary))
    prompts = len({c.prompt_id for c in clips if c.model in data.models})
    page = html.render(data, rows, names, tuple(figures), prompts=prompts)
    index = out / "index.html"
    write_text_atomic(index, page)
    return index


def _json(summary: Mapping[str, Any]) -> str:
    """Strict JSON: a number that is not finite is absent, so it becomes null."""
    text = json.dumps(_finite(summary), indent=2, ensure_ascii=True, allow_nan=False)
    return text + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
