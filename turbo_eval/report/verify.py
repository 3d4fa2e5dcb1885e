"""Our results beside the official program's: on the same clips and weights, video by video."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from turbo_eval.backbones.official.files import FILES
from turbo_eval.backbones.official.weights import locate
from turbo_eval.core.errors import InputError, from_os_error
from turbo_eval.core.records import Prompt
from turbo_eval.core.store import write_json_atomic
from turbo_eval.models.folder import Found
from turbo_eval.report.submit import read_results
from turbo_eval.report.vbench_export import RESULTS, official_name
from turbo_eval.video.encode import encode

TOLERANCE: Final = 1e-4
"""Largest difference of a video's score, on 0..1, that counts as equal."""
DRIVER: Final = Path(__file__).with_name("vbench_driver.py")
_PERCENT: Final = frozenset({"imaging_quality"})
_SHAPE: Final = (4, 144, 192)


@dataclass(frozen=True, slots=True)
class Compared:
    """One dimension, ours and theirs.

    Attributes:
        dimension: Its id.
        videos: Videos that both scored.
        largest: Largest difference of a video, on 0..1; None without a common video.
        worst: Name of that video.
        official: Their aggregate; None without one.
        ours: Our aggregate; None without one.
        only_official: Names of videos that only they scored.
        only_ours: Names of videos that only we scored.
        state: `equal`, `differs` or `failed`.
        reason: Why it is not equal.
    """

    dimension: str
    videos: int = 0
    largest: float | None = None
    worst: str = ""
    official: float | None = None
    ours: float | None = None
    only_official: tuple[str, ...] = ()
    only_ours: tuple[str, ...] = ()
    state: str = "equal"
    reason: str = ""


def compare(dimension: str, ours: Path, theirs: Path, tolerance: float) -> Compared:
    """Compare the result files of a dimension.

    Args:
        dimension: Its id.
        ours: Folder with our `{dimension}_eval_results.json`.
        theirs: Folder with theirs, or with `{dimension}_error.txt`.
        tolerance: Largest difference that counts as equal, for videos and aggregate, on 0..1.

    Returns:
        `failed` when either has no result; a dimension without any value on both sides is equal,
        since the official program divides by zero there.

    Raises:
        InputError: A file is no result of VBench.
    """
    error = theirs / f"{dimension}_error.txt"
    told = error.read_text(encoding="utf-8").splitlines()[0] if error.is_file() else ""
    mine = _result(ours, dimension)
    other = _result(theirs, dimension)
    if mine is None:
        return Compared(dimension, state="failed", reason="we have no result")
    value, videos = mine
    if other is None:
        if value is None and told.startswith("ZeroDivisionError"):
            return Compared(dimension, reason="no value on either side: theirs divides by zero")
        why = told or "the official program wrote no result"
        return Compared(dimension, state="failed", ours=value, reason=why)
    scale = 100.0 if dimension in _PERCENT else 1.0
    left, right = _values(videos, scale), _values(other[1], scale)
    common = sorted(left.keys() & right.keys())
    off = {name: abs(left[name] - right[name]) for name in common}
    worst = max(off, key=lambda name: _rank(off[name]), default="")
    reasons = []
    if left.keys() != right.keys():
        reasons.append("not the same videos")
    if worst and not off[worst] <= tolerance:
        reasons.append(f"{worst} is off by {off[worst]:.1e}")
    official = _number(other[0])
    if (value is None) != (official is None):
        reasons.append("one side has no aggregate")
    elif value is not None and official is not None and not abs(value - official) <= tolerance:
        reasons.append(f"the aggregate is off by {abs(value - official):.1e}")
    return Compared(
        dimension,
        videos=len(common),
        largest=off[worst] if worst else None,
        worst=worst,
        official=official,
        ours=value,
        only_official=tuple(sorted(right.keys() - left.keys())),
        only_ours=tuple(sorted(left.keys() - right.keys())),
        state="differs" if reasons else "equal",
        reason="; ".join(reasons),
    )


def link_videos(found: Sequence[Found], folder: Path) -> list[str]:
    """Lay out videos as the official program wants them: flat, one ending, nothing else.

    Args:
        found: Existing videos.
        folder: A new folder; gets links.

    Returns:
        Names of files that it cannot be given.

    Raises:
        PrerequisiteError: The folder cannot be written.
    """
    left_out = []
    for video in found:
        name = official_name(video.prompt, video.index)
        if video.path.suffix != ".mp4" or "/" in name or "\0" in name or len(name.encode()) > 255:
            left_out.append(video.path.name)
        else:
            _link(video.path, folder / name)
    return left_out


def link_weights(folder: Path, weights_dir: Path | None) -> None:
    """Lay out weights as the official program's cache; what else its own cache holds, as well.

    Args:
        folder: A new folder; gets links.
        weights_dir: The folder of weights that the user named, if any.

    Raises:
        PrerequisiteError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, folder) from error
    for file in FILES:
        path = locate(file, weights_dir)
        if path is not None:
            _link(path, folder / file.cache / file.file)
    named = os.environ.get("VBENCH_CACHE_DIR", "").strip()
    cache = Path(named).expanduser() if named else Path.home() / ".cache" / "vbench"
    # DINO's code is a checkout beside its weights.
    code = Path("dino_model") / "facebookresearch_dino_main"
    for base in (cache, *([weights_dir] if weights_dir else [])):
        if (base / code).is_dir() and not (folder / code).exists():
            _link(base / code, folder / code)
    # CLIP's word pieces, which the official program downloads; open_clip ships the same file.
    words = Path("ViCLIP") / "bpe_simple_vocab_16e6.txt.gz"
    shipped = find_spec("open_clip")
    beside = Path(shipped.origin or "").parent if shipped else Path()
    for source in (cache / words, beside / words.name):
        if source.is_file() and not (folder / words).exists():
            _link(source, folder / words)


SAMPLES: Final[tuple[Mapping[str, Any], ...]] = tuple(
    {
        "prompt_en": text,
        "dimension": list(dimensions),
        **({"auxiliary_info": facts} if facts else {}),
    }
    for text, dimensions, facts in (
        ("a person swimming", ("subject_consistency", "motion_smoothness", "dynamic_degree"), {}),
        ("a still bowl of fruit", ("temporal_flickering",), {}),
        (
            "a drone view of hills",
            ("overall_consistency", "aesthetic_quality", "imaging_quality"),
            {},
        ),
        ("a beach, zoom in", ("temporal_style",), {}),
        ("A person is riding a bike", ("human_action",), {}),
        ("a bird", ("object_class",), {"object_class": {"object": "bird"}}),
        (
            "a bird and a cat",
            ("multiple_objects",),
            {"multiple_objects": {"object": "bird and cat"}},
        ),
        ("a red bird", ("color",), {"color": {"color": "red"}}),
        (
            "a bird on the left of a cat",
            ("spatial_relationship",),
            {
                "spatial_relationship": {
                    "spatial_relationship": {
                        "object_a": "bird",
                        "object_b": "cat",
                        "relationship": "on the left of",
                    }
                }
            },
        ),
        ("street", ("scene", "background_consistency"), {"scene": {"scene": {"scene": "street"}}}),
        (
            "a cat, oil painting",
            ("appearance_style",),
            {"appearance_style": {"appearance_style": "oil painting"}},
        ),
    )
)
"""Prompts of our own in VBench's schema that serve all 16 dimensions."""


def write_samples(folder: Path) -> Path:
    """Draw small clips for `SAMPLES`, for people who have no videos at hand.

    Args:
        folder: Gets `videos/` and `full_info.json`.

    Returns:
        The prompt list.

    Raises:
        PrerequisiteError: The folder cannot be written.
    """
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    for number, entry in enumerate(SAMPLES):
        prompt = Prompt("", str(entry["prompt_en"]), (), {}, "", 0)
        encode(_drawn(number), 8.0, folder / "videos" / official_name(prompt, 0))
    path = folder / "full_info.json"
    write_json_atomic(path, list(SAMPLES))
    return path


def _drawn(number: int) -> NDArray[np.uint8]:
    """A clip of a bright disc over a smooth texture; it moves on every second number."""
    count, height, width = _SHAPE
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    rng = np.random.default_rng(number)
    waves = rng.uniform(0.02, 0.2, (3, 2))
    ground = [110 + 60 * np.sin(a * x + b * y + number) for a, b in waves]
    frames = np.empty((count, height, width, 3), np.uint8)
    for time in range(count):
        centre = (40 + 18 * time * (number % 2 == 0), height / 2)
        disc = np.hypot(x - centre[0], y - centre[1]) < 24
        for channel in range(3):
            # A little brighter and darker, so that a clip without motion still flickers.
            light = ground[channel] + 4 * (time % 2)
            frames[time, ..., channel] = np.where(disc, 230 - 70 * channel, light)
    return frames


def _result(folder: Path, dimension: str) -> tuple[float | None, list[Any]] | None:
    path = folder / f"{dimension}{RESULTS}"
    if not path.is_file():
        return None
    found = read_results(folder).get(dimension)
    if found is None:
        raise InputError(f"{path} holds no result of {dimension}", fix="write it again")
    return _number(found[0]), found[1]


def _values(videos: Sequence[Any], scale: float) -> dict[str, float]:
    try:
        return {
            os.path.basename(str(video["video_path"])): float(video["video_results"]) / scale
            for video in videos
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "a result of VBench lists a video without path or value",
            why=f"{type(error).__name__}: {error}",
            fix="write it again",
        ) from error


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None


def _rank(difference: float) -> float:
    # What is no number is the worst of all.
    return math.inf if math.isnan(difference) else difference


def _link(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(source.resolve())
    except OSError as error:
        raise from_os_error(error, target) from error
