"""Decode each video and let every backbone that has not seen it look at it."""

import logging
import time

from turbo_eval.backbones.judges import Judges, require
from turbo_eval.core.errors import InputError, MemoryShortage, PrerequisiteError
from turbo_eval.core.outcome import ItemFailure, Outcome
from turbo_eval.core.progress import Progress
from turbo_eval.core.records import FeatureRow
from turbo_eval.core.runs import RunFolder
from turbo_eval.core.share import claimed_batches
from turbo_eval.features.cache import read_header, save_features
from turbo_eval.features.plan import FeatureItem, FeaturePlan, feature_row
from turbo_eval.launch.batches import free_memory, is_out_of_memory
from turbo_eval.launch.local import reason_of
from turbo_eval.launch.stop import graceful_stop
from turbo_eval.video.apart import decode_apart
from turbo_eval.video.clip import Clip
from turbo_eval.video.read import decode

logger = logging.getLogger(__name__)

# A feature file proves by itself that it is finished, so its row may wait a little; a shard for
# every video would make thousands of small files.
_SECONDS_PER_SHARD = 5.0


def extract_features(
    plan: FeaturePlan, judges: Judges, run: RunFolder, *, retries: int = 1, quiet: bool = False
) -> Outcome:
    """Extract what is missing; a video is decoded once for all parts, or for each pass of a plan.

    Args:
        plan: What is missing.
        judges: Who looks.
        run: The run folder.
        retries: How often a failed backbone is tried again now. The next run tries it again too.
        quiet: Show no progress.

    Returns:
        The account; what failed has a row with the reason.

    Raises:
        PrerequisiteError: Weights are missing, or the disk is full; what is finished is kept.
        Interrupted: A signal came; the video it came in is finished and kept.
    """
    run.features.append(plan.adopted)
    outcome = Outcome("features", plan.total, plan.total - plan.count)
    if not plan.items:
        return outcome
    last_uses = {role: item for item in plan.items for role in item.missing}
    waiting: list[FeatureRow] = []
    last = time.monotonic()
    with graceful_stop() as stop, Progress("features", plan.total, quiet=quiet) as progress:
        progress.advance(outcome.cached, cached=outcome.cached)
        try:
            for batch, _ in claimed_batches(
                run,
                plan.items,
                key=lambda item: f"features:{item.video.model}:{item.video.video_id}",
                size=lambda: 1,
                finished=lambda _: False,
            ):
                for item in batch:
                    _look(item, judges, run, outcome, waiting, progress, retries)
                    for role in [role for role in item.missing if last_uses[role] is item]:
                        _put_away(judges, role)
                if time.monotonic() - last > _SECONDS_PER_SHARD:
                    full, waiting = waiting, []
                    run.features.append(full)
                    last = time.monotonic()
                stop.check(progress.done, progress.total)
        finally:
            # Also after an interrupt: what is computed is kept.
            run.features.append(waiting)
    return outcome


def _look(
    item: FeatureItem,
    judges: Judges,
    run: RunFolder,
    outcome: Outcome,
    rows: list[FeatureRow],
    progress: Progress,
    retries: int,
) -> None:
    clip: Clip | InputError | None = None
    for role, key in item.missing.items():
        path = run.feature_path(judges.infos[role].id, item.video.video_id)
        header = read_header(path)
        if header is not None and header.get("key") == key:
            # Another process was here; its row may not be written yet, so ours is added.
            seconds = float(header.get("seconds", 0))
            rows.append(feature_row(item.video, judges, role, key, run, seconds))
            outcome.cached += 1
            progress.advance(1, cached=1)
            continue
        decoding = 0.0
        if clip is None:
            begun = time.perf_counter()
            clip = _decode(item, run)
            decoding = time.perf_counter() - begun
        seconds, reason = decoding, str(clip)
        if isinstance(clip, Clip):
            # The first part that looks is charged with the decoding, so that all rows of a video
            # together say what it costs.
            seconds, reason = _extract(item, role, key, clip, judges, run, retries, decoding)
        rows.append(feature_row(item.video, judges, role, key, run, seconds, reason))
        outcome.seconds += seconds
        if reason:
            outcome.failures.append(ItemFailure(f"{item}, {role}", reason))
        else:
            outcome.done += 1
        progress.advance(1, failed=int(bool(reason)))


def _put_away(judges: Judges, role: str) -> None:
    """Give up a network that no video waits for; one that waits after all reads it again."""
    unload = getattr(require(judges, role), "unload", None)
    if unload is not None:
        unload()
        free_memory()


def _decode(item: FeatureItem, run: RunFolder) -> Clip | InputError:
    path = run.resolve(item.video.path)
    try:
        # Files of others may crash the decoder; those inside the run folder we have written.
        ours = path.is_relative_to(run.path)
        clip = decode(path) if ours else decode_apart(path)
    except InputError as error:
        return error
    if clip.content_hash != item.video.content_hash:
        return InputError(
            f"{item.video.path} changed while the run was at work",
            why="its content is not the one of its row",
            fix="run the same command again",
        )
    return clip


def _extract(
    item: FeatureItem,
    role: str,
    key: str,
    clip: Clip,
    judges: Judges,
    run: RunFolder,
    retries: int,
    decoding: float,
) -> tuple[float, str]:
    """Let one backbone look; returns its seconds, decoding included, and why it failed."""
    backbone = require(judges, role)
    reason, short = "", False
    for _ in range(retries + 1):
        start = time.perf_counter()
        try:
            # Reading weights takes seconds, once: in a video's time it would spoil estimates.
            load = getattr(backbone, "load", None)
            if load is not None:
                load()
            start = time.perf_counter() - decoding
            arrays = backbone.extract(clip, item.prompt)
        except PrerequisiteError as error:
            if not isinstance(error, MemoryShortage):
                raise
            reason, short = str(error), True
        except InputError as error:
            # The clip will not become another one by looking again.
            return time.perf_counter() - start, str(error)
        except Exception as error:
            logger.exception("%s failed on %s", backbone.info.id, item)
            short = is_out_of_memory(error)
            reason = _too_large(backbone.info.id, clip) if short else reason_of(error)
        else:
            seconds = time.perf_counter() - start
            save_features(
                run.feature_path(backbone.info.id, item.video.video_id),
                arrays,
                key=key,
                seconds=seconds,
            )
            return seconds, ""
        if short:
            # Here the failed call's tensors are gone: the next try, or the next video, has room.
            free_memory()
    return 0.0, reason


def _too_large(name: str, clip: Clip) -> str:
    count, height, width, _ = clip.frames.shape
    return (
        f"out of memory while {name} looked at {count} frames of {width}x{height}. Fix: free "
        "memory on the device or choose another --device, and type the same command again"
    )
