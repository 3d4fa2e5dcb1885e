"""Which clips the page shows, under which names, and how they get into its folder."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from turbo_eval.core.errors import InputError, from_os_error
from turbo_eval.core.hashing import content_key
from turbo_eval.core.store import write_bytes_atomic
from turbo_eval.report.data import PREFIX

MAX_PROMPTS: Final = 24
"""Prompts shown side by side unless the caller says otherwise."""

_OURS: Final = re.compile(r"[0-9a-f]{16}\.mp4")
_KEY: Final = re.compile(r"[0-9a-f]{16}")

# What browsers play inside an mp4 file; anything else is encoded again.
_PLAYABLE: Final = frozenset({"h264", "vp9", "av1"})


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """One video that the page may show.

    Attributes:
        model: Label of the model, as in the summary.
        prompt: Text of the prompt, shown escaped, never part of a path.
        prompt_id: Key of the prompt; clips of one prompt and seed stand in one row.
        seed_index: Number of the seed, from 0.
        path: The video file; None when there is none.
        values: Metric id -> value; None where there is none.
        fps: Frames a second; one step of the arrow keys is one frame.
        video_id: Key of the video; made from the other facts when empty.
        reason: Why there is no video.
    """

    model: str
    prompt: str
    prompt_id: str
    seed_index: int
    path: Path | None
    values: Mapping[str, float | None] = field(default_factory=dict)
    fps: float = 8.0
    video_id: str = ""
    reason: str = ""

    @property
    def key(self) -> str:
        """16 hexadecimal digits that name the copied file."""
        if _KEY.fullmatch(self.video_id):
            return self.video_id
        return content_key("clip", self.model, self.prompt_id, self.seed_index, self.video_id)

    @property
    def scores(self) -> dict[str, float]:
        """The values there are, by metric id without the prefix."""
        return {m.removeprefix(PREFIX): v for m, v in self.values.items() if v is not None}


@dataclass(frozen=True, slots=True)
class ClipRow:
    """The clips of one prompt and one seed, in the order of the models.

    Attributes:
        prompt: Text of the prompt.
        prompt_id: Key of the prompt.
        seed_index: Number of the seed.
        clips: One for each model of the report; None where a model has no entry.
    """

    prompt: str
    prompt_id: str
    seed_index: int
    clips: tuple[ClipEntry | None, ...]


def choose(
    clips: Sequence[ClipEntry], models: Sequence[str], max_prompts: int = MAX_PROMPTS
) -> list[ClipRow]:
    """Pick the rows to show: one seed of each prompt, prompts spread over the whole suite.

    A suite lists its prompts by dimension, so an even spread shows every kind of prompt.

    Args:
        clips: All clips, in the order of the suite.
        models: Labels in the order of the columns; clips of others are left out.
        max_prompts: At most this many rows, 0 or more.

    Returns:
        Rows in the order of the suite.
    """
    by_prompt: dict[str, list[ClipEntry]] = defaultdict(list)
    for clip in clips:
        if clip.model in models:
            by_prompt[clip.prompt_id].append(clip)
    rows = [_row(found, models) for found in by_prompt.values()]
    if len(rows) <= max_prompts:
        return rows
    return [rows[i * len(rows) // max_prompts] for i in range(max_prompts)]


def _row(clips: list[ClipEntry], models: Sequence[str]) -> ClipRow:
    have = Counter(c.seed_index for c in clips if c.path is not None)
    seed = min({c.seed_index for c in clips}, key=lambda s: (-have[s], s))
    by_model = {c.model: c for c in clips if c.seed_index == seed}
    first = clips[0]
    return ClipRow(first.prompt, first.prompt_id, seed, tuple(by_model.get(m) for m in models))


def copy(rows: Sequence[ClipRow], folder: Path) -> dict[str, str]:
    """Copy the shown clips into the page's folder and remove those of an earlier page.

    A clip that browsers cannot play (another codec or container) is encoded again.

    Args:
        rows: What `choose` picked.
        folder: The page's `clips` folder; only files with names of our form are removed.

    Returns:
        Key of the clip -> file name inside the folder; a clip whose file is gone is left out.

    Raises:
        PrerequisiteError: The folder cannot be written.
    """
    names: dict[str, str] = {}
    for row in rows:
        for clip in row.clips:
            if clip is None or clip.path is None or not clip.path.is_file():
                continue
            target = folder / f"{clip.key}.mp4"
            if _copy_one(clip.path, target):
                names[clip.key] = target.name
    _sweep(folder, set(names.values()))
    return names


def _copy_one(source: Path, target: Path) -> bool:
    # PyAV and NumPy load only when there is a clip to copy.
    import numpy as np

    from turbo_eval.video.apart import decode_apart, probe_apart
    from turbo_eval.video.encode import encode

    try:
        if source.suffix.lower() == ".mp4" and probe_apart(source).codec in _PLAYABLE:
            write_bytes_atomic(target, source.read_bytes())
            return True
        clip = decode_apart(source)
    except InputError:
        return False  # the page says that this clip cannot be shown
    except OSError as error:
        raise from_os_error(error, source) from error
    # The encoder wants even sides; repeating an edge changes nothing that is shown.
    _, height, width, _ = clip.frames.shape
    even = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    encode(np.pad(clip.frames, even, mode="edge"), clip.fps, target)
    return True


def _sweep(folder: Path, keep: set[str]) -> None:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name) and path.name not in keep:
            try:
                path.unlink()
            except OSError as error:
                raise from_os_error(error, path) from error
