"""What VBench's protocol asks of a run whose videos exist already, where the user says nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from turbo_eval.config import RunConfig
from turbo_eval.core.records import VideoRow
from turbo_eval.generate import Source
from turbo_eval.generate.plan import LONG
from turbo_eval.models.folder import FolderVideos
from turbo_eval.prompts import Suite

PER_PROMPT = 5
"""Videos that VBench scores of each prompt: `{prompt}-0.mp4` to `{prompt}-4.mp4`."""
MANY = 10_000
"""Videos of one prompt of the user's own that are taken when no number is named."""


def with_protocol(
    config: RunConfig, origins: Mapping[str, str], suite: Suite, sources: Sequence[Source]
) -> RunConfig:
    """Fill in how many videos of a prompt count, where nobody has named a number.

    Folders hold VBench's five by default. In VBench's own list a video that is missing is a fault;
    in a list of the user's in its form, and in prompts of the user's, what is there counts.

    Args:
        config: The settings.
        origins: Where each comes from.
        suite: The whole suite.
        sources: The models.
    """
    folders = [isinstance(source.system, FolderVideos) for source in sources]
    if origins["seeds"] != "default" or not any(folders):
        return config
    vbench = suite.name == "vbench" or suite.name.startswith("vbench:")
    if not vbench and not (suite.name == "custom" and all(folders)):
        return config
    updates: dict[str, object] = {"seeds": PER_PROMPT if vbench else MANY}
    if origins["allow_fewer"] == "default":
        updates["allow_fewer"] = not suite.info.get("standard", False)
    return config.model_copy(update=updates)


def named_sources(sources: Iterable[Source], files: Mapping[str, str]) -> tuple[Source, ...]:
    """Let folders follow a prompt file of the form {video file: prompt}.

    Args:
        sources: The models.
        files: File name -> prompt text; empty when the prompt file names no files.
    """
    return tuple(
        Source(source.label, source.system.named(files), source.sampler)
        if files and isinstance(source.system, FolderVideos)
        else source
        for source in sources
    )


def beside(sources: Iterable[Source], suite: Suite, chosen: Suite) -> tuple[Source, ...]:
    """Tell folders which prompts of the suite a run leaves out: their files are no strays.

    Args:
        sources: The models.
        suite: The whole suite.
        chosen: Its part that the run asks for.
    """
    ids = {prompt.id for prompt in chosen}
    others = [prompt.text for prompt in suite if prompt.id not in ids]
    return tuple(
        Source(source.label, source.system.beside(others), source.sampler)
        if others and isinstance(source.system, FolderVideos)
        else source
        for source in sources
    )


def long_notes(videos: Iterable[VideoRow], suite: str) -> Iterator[str]:
    """Tell of videos that are too long for VBench's own scores.

    Args:
        videos: Finished videos of the run.
        suite: Name of the suite; only VBench's have the rule.
    """
    if suite != "vbench" and not suite.startswith("vbench:"):
        return
    long: dict[str, list[float]] = {}
    for video in videos:
        seconds = seconds_of_clip(video)
        if seconds >= LONG:
            long.setdefault(video.model, []).append(seconds)
    for label, found in long.items():
        yield (
            f"{label}: {len(found)} videos last {LONG:g} s or more (up to {max(found):.1f} s): "
            "VBench-Long cuts such videos into short ones and scores those; the scores of this run "
            "are not comparable with either"
        )


def seconds_of_clip(video: VideoRow) -> float:
    """How long a video lasts; 0 when its container tells too little."""
    return video.frames / video.fps if video.fps > 0 else 0.0
