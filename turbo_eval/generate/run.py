"""Make the missing videos, batch by batch; every finished batch is on disk before the next."""

from collections.abc import Sequence
from typing import Literal

from turbo_eval.core.outcome import ItemFailure, Outcome
from turbo_eval.core.progress import Progress
from turbo_eval.core.records import VideoRow
from turbo_eval.core.runs import RunFolder
from turbo_eval.core.share import claimed_batches
from turbo_eval.generate.draw import Work, draw, register
from turbo_eval.generate.plan import Source, VideoItem, VideoPlan, is_done
from turbo_eval.launch.stop import Stop, graceful_stop
from turbo_eval.models.folder import FolderVideos

AUTO_BATCH = 16


def generate_videos(
    plan: VideoPlan,
    run: RunFolder,
    *,
    batch_size: int | Literal["auto"] = "auto",
    retries: int = 1,
    quiet: bool = False,
) -> Outcome:
    """Make what is missing.

    Every batch is drawn, encoded and recorded before the next begins. When memory runs out the
    batch is halved and the run goes on; the clips are the same, because the noise of a clip
    depends on its seed alone.

    Args:
        plan: What is missing.
        run: The run folder.
        batch_size: Videos drawn at once; `auto` starts with 16, or fewer where the model says so.
        retries: How often a failed video is tried again now. The next run tries it again too.
        quiet: Show no progress.

    Returns:
        The account; a video that failed has a row with the reason, a file that a folder of
        existing videos lacks has none.

    Raises:
        PrerequisiteError: Weights are missing, or the disk is full; what is finished is kept.
        Interrupted: A signal came; the batch it came in is finished and kept.
    """
    cached = plan.total - plan.count - len(plan.absent)
    outcome = Outcome("generate", plan.total, cached)
    if not plan.count:
        outcome.failures += plan.absent
        return outcome
    with graceful_stop() as stop, Progress("generate", plan.total, quiet=quiet) as progress:
        progress.advance(outcome.cached, cached=outcome.cached)
        progress.advance(len(plan.absent), failed=len(plan.absent))
        for source in plan.sources:
            # Another model may fit in memory with the full size again.
            auto = min(AUTO_BATCH, source.system.info.batch or AUTO_BATCH)
            size = auto if batch_size == "auto" else batch_size
            work = Work(run, outcome, size, retries)
            _generate_source(source, plan.missing[source.label], work, progress, stop)
    # Last, so that a file that is there and broken is told first.
    outcome.failures += plan.absent
    return outcome


def _generate_source(
    source: Source, items: Sequence[VideoItem], work: Work, progress: Progress, stop: Stop
) -> None:
    for batch, elsewhere in claimed_batches(
        work.run,
        items,
        key=lambda item: f"video:{item.label}:{item.video_id}",
        size=lambda: work.batch_size,
        finished=lambda item: _finished(item, work.run),
    ):
        rows = _make(source, batch, work)
        work.run.videos.append(rows)
        bad = [row for row in rows if row.status == "failed"]
        names = {item.video_id: str(item) for item in batch}
        work.outcome.failures += [ItemFailure(names[r.video_id], r.reason) for r in bad]
        work.outcome.done += len(rows) - len(bad)
        work.outcome.cached += len(elsewhere)
        progress.advance(len(rows) + len(elsewhere), failed=len(bad), cached=len(elsewhere))
        stop.check(progress.done, progress.total)


def _make(source: Source, batch: Sequence[VideoItem], work: Work) -> list[VideoRow]:
    if not batch:
        return []
    if isinstance(source.system, FolderVideos) or source.sampler is None:
        return [register(item, work.run) for item in batch]
    return draw(batch, source.system, source.sampler, work)


def _finished(item: VideoItem, run: RunFolder) -> bool:
    # The table is read again only when there is a file to explain.
    if not item.path.is_relative_to(run.path) or not item.path.exists():
        return False
    return any(
        is_done(row, run)
        for row in run.videos.read()
        if row["video_id"] == item.video_id and row["model"] == item.label
    )
