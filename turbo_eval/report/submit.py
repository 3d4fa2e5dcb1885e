"""A zip for VBench's leaderboard: checked first, because a wrong one is scored without a word.

The leaderboard reads the `*_eval_results.json` files at the root of the zip, takes the first
element of each dimension, and counts a dimension that is missing as a raw 0 (reference note,
section 7). So nothing is packed that is not complete, VBench's own suite, and made by its networks.
"""

import json
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from turbo_eval.core.errors import InputError
from turbo_eval.core.store import atomic_path
from turbo_eval.generate.plan import LONG
from turbo_eval.metrics.normalise import DIMENSIONS, Totals, totals
from turbo_eval.report.vbench_export import FACTS, INFO, RESULTS

PER_PROMPT: Final = 5
PROMPTS: Final[Mapping[str, int]] = {
    "subject_consistency": 72,
    "background_consistency": 86,
    "temporal_flickering": 75,
    "motion_smoothness": 72,
    "dynamic_degree": 72,
    "aesthetic_quality": 93,
    "imaging_quality": 93,
    "object_class": 79,
    "multiple_objects": 82,
    "human_action": 100,
    "color": 85,
    "spatial_relationship": 84,
    "scene": 86,
    "appearance_style": 90,
    "temporal_style": 100,
    "overall_consistency": 93,
}
"""Prompts of VBench_full_info.json that serve each dimension."""
_FEWER: Final = frozenset({"color"})
"""Dimensions whose result leaves out videos by definition: no frame shows the object."""
_SUBMIT_AT: Final = "the Hugging Face space Vchitect/VBench_Leaderboard"


@dataclass(frozen=True, slots=True)
class Submission:
    """A zip that was written.

    Attributes:
        path: Where it lies.
        scores: Dimension -> raw score.
        totals: The totals that the official script computes from them.
        warnings: What the person who submits should know.
    """

    path: Path
    scores: Mapping[str, float]
    totals: Totals
    warnings: tuple[str, ...]


def read_results(folder: Path) -> dict[str, tuple[Any, list[Any]]]:
    """Read every result file of a folder, ours or the official program's.

    Args:
        folder: Holds `*_eval_results.json`, each with one dimension or several.

    Returns:
        Dimension -> (aggregate, videos).

    Raises:
        InputError: There is none, one has another form, or two give one dimension.
    """
    files = sorted(folder.glob(f"*{RESULTS}")) if folder.is_dir() else []
    if not files:
        raise InputError(
            f"{folder} holds no result of VBench",
            why=f"no file in it ends in {RESULTS}",
            fix="write them with `turbo-eval run vbench ... --export vbench:FOLDER`",
        )
    found: dict[str, tuple[Any, list[Any]]] = {}
    for file in files:
        for dimension, result in _read(file).items():
            name = dimension.replace(" ", "_")
            if not (isinstance(result, list) and len(result) == 2 and isinstance(result[1], list)):
                raise InputError(
                    f"{file} is no result of VBench",
                    why=f"{dimension} is not [aggregate, [videos]]",
                    fix="write it again",
                )
            if name in found:
                raise InputError(
                    f"{name} stands in two files of {folder}",
                    why=f"the second is {file.name}; the leaderboard would take either",
                    fix="remove one of them",
                )
            found[name] = (result[0], result[1])
    return found


def problems(
    results: Mapping[str, tuple[Any, Sequence[Any]]], facts: Mapping[str, Any]
) -> Iterator[str]:
    """Say why results cannot be submitted, a line each.

    Args:
        results: From `read_results`.
        facts: Of `turbo-eval.json`; empty for results of the official program.
    """
    # First what no further scoring would mend.
    if facts:
        yield from _of_another_kind(facts)
        yield from _of_another_export(results, facts)
    absent = [dimension for dimension in PROMPTS if dimension not in results]
    if absent:
        yield f"{', '.join(absent)}: missing; the leaderboard would count each as 0"
    for dimension, prompts in PROMPTS.items():
        if dimension not in results:
            continue
        value, videos = results[dimension]
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{dimension} has no value"
        elif not math.isfinite(value):
            yield f"{dimension} is not finite"
        paths = [v.get("video_path") if isinstance(v, Mapping) else None for v in videos]
        wanted = prompts * PER_PROMPT
        if len(set(paths)) < len(paths):
            yield f"{dimension} counts {len(paths) - len(set(paths))} videos twice"
        if len(paths) > wanted or (len(paths) < wanted and dimension not in _FEWER):
            yield f"{dimension} has {len(paths)} videos, not {wanted} ({prompts} prompts x 5)"
        elif not paths:
            yield f"{dimension} has no video"
    for name in sorted(results.keys() - PROMPTS.keys()):
        yield f"{name} is no dimension of VBench"


def _of_another_kind(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts.get("judges") != "official":
        yield f"judges {facts.get('judges')} made the scores, not VBench's networks and weights"
    if facts.get("compat") != "vbench":
        yield f"the scores were read with --compat {facts.get('compat')}"
    if not facts.get("standard"):
        yield f"suite {facts.get('suite')} is not VBench's own list"
    if float(facts.get("longest_seconds", 0.0)) >= LONG:
        yield (
            f"videos last up to {facts['longest_seconds']:g} s: from {LONG:g} s on VBench-Long is "
            "meant"
        )


def _of_another_export(
    results: Mapping[str, tuple[Any, Sequence[Any]]], facts: Mapping[str, Any]
) -> Iterator[str]:
    """Files that an earlier export left in the folder are not what the facts speak of."""
    written = facts.get("dimensions")
    if not isinstance(written, Mapping):
        return
    old = [name for name in results if name not in written]
    old += [
        name
        for name, counts in written.items()
        if name in results
        and isinstance(counts, Mapping)
        and counts.get("videos") != len(results[name][1])
    ]
    if old:
        yield f"{', '.join(old)}: not of the run that {FACTS} tells of; export into a new folder"


def read_facts(folder: Path) -> dict[str, Any]:
    """The facts that our export writes beside the results; empty for official results.

    Raises:
        InputError: The file is damaged.
    """
    path = folder / FACTS
    return _read(path) if path.is_file() else {}


def submit(folder: Path, out: Path, *, name: str | None = None) -> Submission:
    """Check the results in a folder and pack them.

    Args:
        folder: From `--export vbench:FOLDER`, or of the official program.
        out: The zip to write; an earlier one is replaced.
        name: What to call the results in messages; the folder when not given.

    Raises:
        InputError: The results are not complete or not VBench's; every reason is listed.
        PrerequisiteError: The zip cannot be written.
    """
    results, facts = read_results(folder), read_facts(folder)
    found = list(problems(results, facts))
    if found:
        more = f" and {len(found) - 8} more" if len(found) > 8 else ""
        raise InputError(
            f"{name or folder} cannot be submitted to VBench's leaderboard",
            why="; ".join(found[:8]) + more,
            fix="score what is missing with `turbo-eval run vbench --judges official`",
        )
    scores = {name: float(results[name][0]) for name in DIMENSIONS}
    with atomic_path(out) as temporary:
        _pack(temporary, folder)
    return Submission(out, scores, totals(scores), tuple(_warnings(facts, results)))


def _warnings(
    facts: Mapping[str, Any], results: Mapping[str, tuple[Any, Sequence[Any]]]
) -> Iterator[str]:
    yield f"upload it at {_SUBMIT_AT}"
    if not facts:
        yield "nothing tells which program and weights made these results, nor how long videos are"
        return
    if facts.get("rewritten"):
        yield f"the videos are of rewritten prompts ({facts['rewritten']}): say so on the form"
    if not facts.get("static_filter"):
        yield (
            "temporal_flickering was scored without --static-filter: right only if the folder "
            "held videos that VBench's filter had picked"
        )
    short = PROMPTS["color"] * PER_PROMPT - len(results["color"][1])
    if short:
        yield f"color leaves out {short} videos that show no object in a colour, as VBench does"


def _pack(path: Path, folder: Path) -> None:
    names: Iterable[Path] = [*sorted(folder.glob(f"*{RESULTS}")), *sorted(folder.glob(f"*{INFO}"))]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in names:
            # A fixed date, so that the same results give the same bytes.
            entry = zipfile.ZipInfo(file.name, (2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read", why=str(error), fix="write it again") from error
    if not isinstance(value, dict):
        raise InputError(
            f"{path} is no result of VBench", why="it holds no object", fix="write it again"
        )
    return value
