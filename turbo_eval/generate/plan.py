"""Which videos a run needs and which of them are missing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_eval.config import ModelConfig, RunConfig
from turbo_eval.core.errors import InputError
from turbo_eval.core.hashing import blake_file, content_key
from turbo_eval.core.outcome import ItemFailure
from turbo_eval.core.records import Prompt, video_id
from turbo_eval.core.runs import RunFolder
from turbo_eval.models.folder import FolderVideos, Match
from turbo_eval.models.labels import labels
from turbo_eval.models.load import open_source, sampler_of
from turbo_eval.models.protocol import Sampler, TextToVideo

_SEEDS = 2**31
FILE_SAMPLER = "file"
FLICKER = "temporal_flickering"
CANDIDATES = 25
"""Videos of a prompt among which VBench's static filter chooses."""
LONG = 5.0
"""Seconds from which on VBench-Long is meant (its README); VBench's own scores are for less."""
NO_FILE = "the folder holds no such file"


@dataclass(frozen=True, slots=True)
class Source:
    """Where one row of the table gets its videos from.

    Attributes:
        label: Short name, unique in the run.
        system: The text-to-video system, or the existing videos.
        sampler: How clips are drawn; None for existing videos.
    """

    label: str
    system: TextToVideo | FolderVideos
    sampler: Sampler | None


@dataclass(frozen=True, slots=True)
class VideoItem:
    """A video that is missing.

    Attributes:
        prompt: Its prompt.
        label: Label of the model.
        video_id: Key of the video.
        fingerprint: Key of the model; of the file's content for existing videos.
        seed: Seed of the noise, 0..2**31-1; the index for existing videos.
        seed_index: Which of the prompt's videos it is, from 0.
        path: Where the file is written, or lies already.
    """

    prompt: Prompt
    label: str
    video_id: str
    fingerprint: str
    seed: int
    seed_index: int
    path: Path

    def __str__(self) -> str:
        """The item in a user's words."""
        text = self.prompt.text if len(self.prompt.text) <= 60 else self.prompt.text[:57] + "..."
        return f"{self.label}, {text!r}, video {self.seed_index}"


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """What the stage will do.

    Attributes:
        sources: The models in the order of the table.
        missing: Videos to make, by label, in the order of the prompts.
        total: Videos there are in all, finished ones included.
        seconds: Estimated seconds from this run's own rows; None without history.
        notes: Lines for the user, such as files that match no prompt.
        absent: Videos that a folder of existing videos should hold and does not.
    """

    sources: tuple[Source, ...]
    missing: Mapping[str, tuple[VideoItem, ...]]
    total: int
    seconds: float | None
    notes: tuple[str, ...]
    absent: tuple[ItemFailure, ...] = ()

    @property
    def count(self) -> int:
        """Number of videos to make."""
        return sum(len(items) for items in self.missing.values())


def videos_of(prompt: Prompt, config: RunConfig) -> int:
    """How many videos of a prompt a run makes or takes; more where the static filter chooses."""
    if config.static_filter and _flickers([prompt], config):
        return max(config.seeds, CANDIDATES)
    return config.seeds


def _flickers(prompts: Iterable[Prompt], config: RunConfig) -> bool:
    asked = config.dimensions is None or FLICKER in config.dimensions
    return asked and any(FLICKER in prompt.dimensions for prompt in prompts)


def seed_of(prompt_id: str, number: int) -> int:
    """Derive the seed of a prompt's video from content, never from a position.

    Args:
        prompt_id: Key of the prompt.
        number: The run's seed base plus the video's index.

    Returns:
        0..2**31-1; the same for every model, so that models can be compared in pairs.
    """
    return int(content_key("seed", prompt_id, number), 16) % _SEEDS


def open_sources(
    models: Sequence[ModelConfig], *, weights_dir: Path | None, device: str, dtype: str
) -> tuple[Source, ...]:
    """Look up the models of a run; reads no weights.

    Raises:
        UsageError: Unknown model, or one named twice.
        InputError: A folder of videos that does not exist.
    """
    sources = []
    for config, label in zip(models, labels(models), strict=True):
        system = open_source(config.name, weights_dir=weights_dir, device=device, dtype=dtype)
        existing = isinstance(system, FolderVideos)
        sampler = None if existing else sampler_of(config, system.info)
        sources.append(Source(label, system, sampler))
    return tuple(sources)


def plan_videos(
    config: RunConfig,
    prompts: Sequence[Prompt],
    sources: Sequence[Source],
    run: RunFolder,
    history: Sequence[Mapping[str, Any]] = (),
) -> VideoPlan:
    """Compare what a run needs with its rows and files.

    A video is finished when a row says so and its file still has the content of the row.

    Args:
        config: Number of seeds and their base.
        prompts: The prompts of the run.
        sources: The models.
        run: The run folder; only read.
        history: Video rows of a measured sample, for the estimate alone.

    Raises:
        InputError: A folder of videos holds none for any prompt.
    """
    rows = {(row["model"], row["video_id"]): row for row in run.videos.read()}
    missing: dict[str, tuple[VideoItem, ...]] = {}
    total, notes, estimates = 0, [], []
    absent: list[ItemFailure] = []
    for source in sources:
        if isinstance(source.system, FolderVideos):
            wanted, match = _existing(source.label, source.system, prompts, config)
            notes += [f"{source.label}: {note}" for note in match.notes()]
            if match.surplus and not config.static_filter and _flickers(prompts, config):
                notes.append(
                    f"{source.label}: of more videos of a prompt the first {config.seeds} are "
                    f"scored; with --static-filter, for {FLICKER} the first that stand still"
                )
            absent += [
                ItemFailure(f"{source.label}, {prompt.text!r}, video {index}", NO_FILE)
                for prompt, index in lacking(match, config)
            ]
        else:
            wanted = list(_drawn(source, source.system, prompts, config, run))
        todo = tuple(
            item for item in wanted if not is_done(rows.get((item.label, item.video_id)), run)
        )
        missing[source.label] = todo
        total += len(wanted)
        if todo:
            estimates.append(_estimate(source.label, len(todo), [*rows.values(), *history]))
    seconds = None if None in estimates else sum(e for e in estimates if e is not None)
    total += len(absent)
    return VideoPlan(tuple(sources), missing, total, seconds, tuple(notes), tuple(absent))


def lacking(match: Match, config: RunConfig) -> list[tuple[Prompt, int]]:
    """The missing videos that a run cannot do without.

    The static filter chooses among what there is. Where a prompt may have fewer videos, only one
    that has none at all is lacking.
    """
    if config.allow_fewer:
        return list(match.missing)
    return [(prompt, index) for prompt, index in match.missing if index < config.seeds]


def is_done(row: Mapping[str, Any] | None, run: RunFolder) -> bool:
    """Say whether a row stands for a finished video whose file is whole."""
    if row is None or row["status"] != "ok":
        return False
    try:
        return blake_file(run.resolve(row["path"])) == str(row["content_hash"])
    except OSError:
        return False


def _drawn(
    source: Source,
    system: TextToVideo,
    prompts: Iterable[Prompt],
    config: RunConfig,
    run: RunFolder,
) -> Iterator[VideoItem]:
    assert source.sampler is not None
    fingerprint = system.fingerprint()
    for prompt in prompts:
        for index in range(videos_of(prompt, config)):
            seed = seed_of(prompt.id, config.seed_base + index)
            key = video_id(prompt.id, fingerprint, source.sampler.key, seed)
            path = run.video_path(source.label, key)
            yield VideoItem(prompt, source.label, key, fingerprint, seed, index, path)


def _existing(
    label: str, folder: FolderVideos, prompts: Sequence[Prompt], config: RunConfig
) -> tuple[list[VideoItem], Match]:
    counts = {prompt.id: videos_of(prompt, config) for prompt in prompts}
    match = folder.match(prompts, counts, fewer=config.allow_fewer)
    if not match.found:
        raise InputError(
            f"{folder.name} has no video for any of the {len(prompts)} prompts",
            why="; ".join(match.notes()),
            fix="name files as {prompt}-{index}.mp4, or give a CSV with path,prompt,index",
        )
    items = []
    for found in match.found:
        # The content stands for the model: another file under the same name is another video.
        try:
            fingerprint = blake_file(found.path)
        except OSError as error:
            # Kept in the plan under its name, so that it is reported and tried again.
            fingerprint = content_key("unreadable", found.path.name, str(error.strerror))
        key = video_id(found.prompt.id, fingerprint, FILE_SAMPLER, found.index)
        items.append(
            VideoItem(found.prompt, label, key, fingerprint, found.index, found.index, found.path)
        )
    return items, match


def _estimate(label: str, count: int, rows: Iterable[Mapping[str, Any]]) -> float | None:
    known = [row["seconds"] for row in rows if row["model"] == label and row["status"] == "ok"]
    return count * sum(known) / len(known) if known else None
