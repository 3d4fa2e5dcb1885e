"""One batch: draw the clips, write the files, make the rows."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from turbo_eval.core.errors import (
    ConfigError,
    InputError,
    MemoryShortage,
    PrerequisiteError,
    UsageError,
    one_line,
)
from turbo_eval.core.hashing import blake_file
from turbo_eval.core.outcome import Outcome
from turbo_eval.core.records import Status, VideoRow
from turbo_eval.core.runs import RunFolder
from turbo_eval.generate.plan import FILE_SAMPLER, VideoItem
from turbo_eval.launch.batches import with_batch_halving
from turbo_eval.launch.local import reason_of
from turbo_eval.models.protocol import Frames, Sampler, TextToVideo
from turbo_eval.prompts.rewritten import spoken
from turbo_eval.video.apart import probe_apart
from turbo_eval.video.clip import check_frames
from turbo_eval.video.encode import encode

logger = logging.getLogger(__name__)
_FATAL = (ConfigError, PrerequisiteError, UsageError)
"""No other video would fare better."""


@dataclass(slots=True)
class Work:
    """What the batches of a stage share.

    Attributes:
        run: The run folder.
        outcome: The account; seconds are added here.
        batch_size: Videos drawn at once; halved when memory runs out.
        retries: How often a failed video is tried again.
    """

    run: RunFolder
    outcome: Outcome
    batch_size: int
    retries: int


def draw(
    batch: Sequence[VideoItem], system: TextToVideo, sampler: Sampler, work: Work
) -> list[VideoRow]:
    """Draw a batch; whatever goes wrong with one video leaves the others alone.

    Args:
        batch: At most `work.batch_size` videos.
        system: Draws them.
        sampler: Steps and guidance.
        work: Shared state.

    Returns:
        One row per video, in order.

    Raises:
        PrerequisiteError: Weights are missing or the disk is full: no other video would fare
            better.
        ConfigError: A student does not fit the teacher that is here.
        UsageError: The system refuses the sampler's settings.
    """
    try:
        return _draw_once(batch, system, sampler, work)
    except MemoryShortage as error:
        return _one_by_one(batch, system, sampler, work, error)
    except _FATAL:
        raise
    except Exception as error:
        return _one_by_one(batch, system, sampler, work, error)


def register(item: VideoItem, run: RunFolder) -> VideoRow:
    """Make the row of an existing video; its frames are decoded once, by the features stage."""
    try:
        # Files of others may crash the decoder.
        info = probe_apart(item.path)
        content = blake_file(item.path)
    except (InputError, OSError) as error:
        return _row(item, run, None, (0, 0, 0), 0.0, reason=one_line(str(error)))
    size = (info.frames or 0, info.height, info.width)
    return _row(item, run, None, size, info.fps or 0.0, content=content)


def _one_by_one(
    part: Sequence[VideoItem],
    system: TextToVideo,
    sampler: Sampler,
    work: Work,
    error: Exception,
) -> list[VideoRow]:
    """Find the video that a batch failed for; a batch of one has been tried once already."""
    rows: list[VideoRow] = []
    for item in part:
        last: Exception | None = error if len(part) == 1 else None
        for _ in range(work.retries if last is not None else work.retries + 1):
            try:
                rows += _draw_once([item], system, sampler, work)
                last = None
                break
            except _FATAL as fatal:
                if not isinstance(fatal, MemoryShortage):
                    raise
                last = fatal
            except Exception as again:
                last = again
        if last is not None:
            logger.error("%s failed", item, exc_info=last)
            rows.append(_row(item, work.run, sampler, (0, 0, 0), 0.0, reason=reason_of(last)))
    return rows


def _draw_once(
    part: Sequence[VideoItem], system: TextToVideo, sampler: Sampler, work: Work
) -> list[VideoRow]:
    def clips(items: Sequence[VideoItem]) -> list[tuple[Frames, float]]:
        start = time.perf_counter()
        frames = system.generate(
            [spoken(item.prompt) for item in items], [item.seed for item in items], sampler
        )
        seconds = time.perf_counter() - start
        work.outcome.seconds += seconds
        return [(clip, seconds / len(items)) for clip in _checked(frames, len(items), system)]

    def smaller(size: int) -> None:
        work.batch_size = size
        logger.warning("memory ran out; going on with batches of %d", size)

    drawn = with_batch_halving(clips, part, min(work.batch_size, len(part)), on_halve=smaller)
    fps = system.info.fps
    rows = []
    for item, (clip, seconds) in zip(part, drawn, strict=True):
        encode(clip, fps, item.path)
        content = blake_file(item.path)
        size = (clip.shape[0], clip.shape[1], clip.shape[2])
        rows.append(_row(item, work.run, sampler, size, fps, content=content, seconds=seconds))
    return rows


def _checked(frames: Frames, count: int, system: TextToVideo) -> list[Frames]:
    shape = np.shape(frames)
    if len(shape) != 5 or shape[0] != count:
        raise InputError(
            f"model {system.info.name} returned an array of shape {tuple(shape)}",
            why=f"{count} clips were asked for",
            fix="return uint8 frames [B, T, H, W, 3]",
        )
    return [check_frames(clip, system.info.fps) for clip in frames]


def _row(
    item: VideoItem,
    run: RunFolder,
    sampler: Sampler | None,
    size: tuple[int, int, int],
    fps: float,
    *,
    content: str = "",
    seconds: float = 0.0,
    reason: str = "",
) -> VideoRow:
    status: Status = "failed" if reason else "ok"
    return VideoRow(
        video_id=item.video_id,
        prompt_id=item.prompt.id,
        model=item.label,
        fingerprint=item.fingerprint,
        seed=item.seed,
        seed_index=item.seed_index,
        sampler=FILE_SAMPLER if sampler is None else sampler.name,
        steps=0 if sampler is None else sampler.steps,
        guidance=0.0 if sampler is None else sampler.guidance,
        width=size[2],
        height=size[1],
        frames=size[0],
        fps=fps,
        path=run.relative(item.path),
        content_hash=content,
        seconds=seconds,
        status=status,
        reason=reason,
    )
