"""One opened run: settings, prompts, models, judges and folder, and the stages on it."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_eval.analyze.summarize import SUITE_FILE, read_json, read_prompts
from turbo_eval.backbones import Judges, load_judges
from turbo_eval.cli.clip_options import take_settings, with_settings
from turbo_eval.cli.device import pick_device
from turbo_eval.cli.options import with_defaults
from turbo_eval.cli.protocol import beside, named_sources, with_protocol
from turbo_eval.cli.say import say
from turbo_eval.config import (
    GROWING,
    ModelConfig,
    RunConfig,
    environment_name,
    resolve,
    restore,
)
from turbo_eval.core.errors import (
    ConfigError,
    InputError,
    UsageError,
)
from turbo_eval.core.hashing import content_key
from turbo_eval.core.records import Prompt, PromptRow, VideoRow
from turbo_eval.core.runs import RunFolder, safe_name
from turbo_eval.core.store import write_json_atomic
from turbo_eval.features import FeaturePlan, plan_features
from turbo_eval.generate import Source, VideoPlan, open_sources, plan_videos
from turbo_eval.generate.plan import videos_of
from turbo_eval.metrics.base import Metric
from turbo_eval.metrics.rewards.base import PREFIX
from turbo_eval.prompts import Suite, load
from turbo_eval.prompts.dimensions import dimension
from turbo_eval.prompts.formats import parse
from turbo_eval.prompts.rewritten import with_rewritten
from turbo_eval.prompts.vbench import find_info
from turbo_eval.score import ScorePlan, current_videos, plan_scores
from turbo_eval.score.plan import metrics_for
from turbo_eval.score.rewards import (
    asked,
    keep_rewards,
    reward_name,
    rewards_of,
    with_rewards,
)
from turbo_eval.score.static import Key, filtered_metrics


@dataclass(frozen=True, slots=True)
class Session:
    """An opened run.

    Attributes:
        config: The settings.
        prompts: The prompts of the run, in order.
        sources: The models; their weights are not read yet.
        judges: The judges; their weights are not read yet.
        run: The run folder.
    """

    config: RunConfig
    prompts: tuple[Prompt, ...]
    sources: tuple[Source, ...]
    judges: Judges
    run: RunFolder

    @property
    def by_id(self) -> dict[str, Prompt]:
        """Prompt id -> prompt."""
        return {prompt.id: prompt for prompt in self.prompts}

    def videos(self) -> list[VideoRow]:
        """Finished videos that stand for the run now."""
        wanted = {prompt.id: videos_of(prompt, self.config) for prompt in self.prompts}
        rows = current_videos(self.run, self.prompts, wanted)
        return [row for row in rows if row.status == "ok"]

    def plan_videos(self, history: Sequence[Mapping[str, Any]] = ()) -> VideoPlan:
        """What the generate stage will do; `history` are video rows of a measured sample."""
        return plan_videos(self.config, self.prompts, self.sources, self.run, history)

    def plan_features(
        self, videos: Iterable[VideoRow], given_up: Collection[Key] = ()
    ) -> FeaturePlan:
        """What the features stage will do on these videos.

        Args:
            videos: Finished videos.
            given_up: (model, video id) of videos that the static filter goes on without.
        """
        there = list(videos)
        metrics = self._metrics_by_video(there, given_up)
        return plan_features(
            there,
            self.by_id,
            lambda video: {role for m in metrics(video) for role in m.info.roles},
            self.judges,
            self.run,
        )

    def plan_scores(self, videos: Iterable[VideoRow]) -> ScorePlan:
        """What the score stage will do on these videos."""
        there = list(videos)
        return plan_scores(
            there,
            self.by_id,
            self.config.dimensions,
            self.judges,
            self.run,
            metrics=self._metrics_by_video(there, ()),
        )

    def metrics_for(self, prompt: Prompt) -> tuple[Metric, ...]:
        """The metrics of a prompt in this run."""
        config = self.config
        return metrics_for(
            prompt,
            config.dimensions,
            compat=config.compat,
            static_filter=config.static_filter,
            rewards=config.rewards,
        )

    def _metrics_by_video(
        self, videos: Iterable[VideoRow], given_up: Collection[Key]
    ) -> Callable[[VideoRow], tuple[Metric, ...]]:
        by_prompt = {prompt.id: self.metrics_for(prompt) for prompt in self.prompts}
        if not self.config.static_filter:
            return lambda video: by_prompt[video.prompt_id]
        return filtered_metrics(
            videos, by_prompt, self.config.seeds, self.judges, self.run, given_up
        )

    def sources_on_device(self) -> tuple[Source, ...]:
        """The models on the device that was asked for; only called when there is work."""
        device = pick_device(self.config.device)
        return self.sources if device == "cpu" else _open(self.config, device)

    def judges_on_device(self) -> Judges:
        """The judges on the device that was asked for; only called when there is work."""
        device = pick_device(self.config.device)
        return self.judges if device == "cpu" else _judges(self.config, self.run, device=device)


def start(typed: Mapping[str, Any], file: Path | None, *, dry_run: bool = False) -> Session:
    """Merge the settings and open the run folder, or make it.

    Args:
        typed: From `turbo_eval.cli.options.flags`.
        file: Configuration file, if named.
        dry_run: Make nothing.

    Raises:
        UsageError: Unknown suite, model, dimension, reward or judges, or no model at all.
        PrerequisiteError: The weights of a reward are missing.
        ConfigError: The folder belongs to another configuration.
    """
    config, origins = _settings(dict(typed), file)
    if not config.models:
        raise UsageError(
            "no model to evaluate",
            fix="add --model NAME (see `turbo-eval list models`) or --model folder:PATH",
        )
    suite = load(config.suite)
    whole, texts = len(suite), {prompt.id: prompt.text for prompt in suite}
    files = {file: texts[key] for file, key in suite.info.get("files", {}).items()}
    sources = named_sources(_open(config), files)
    config = with_protocol(config, origins, suite, sources)
    if config.rewritten is not None:
        suite = with_rewritten(suite, config.rewritten, _originals(suite))
    named = [name for name in config.dimensions or () if not name.startswith(PREFIX)]
    chosen = suite.select(dimensions=named or None, ids=config.prompts, limit=config.limit)
    sources, suite = beside(sources, suite, chosen), chosen
    for note in suite.notes:
        say(f"Note: {note}")
    if origins["run"] == "default":
        key = content_key("run", config.identity(), suite.checksum)[:8]
        config = config.model_copy(update={"run": Path("runs") / f"{safe_name(suite.name)}-{key}"})
    run = RunFolder(config.run)
    config, judges = _judged(config, run, asked(config))
    if not dry_run:
        run.create_or_open(config.identity(), growing=GROWING)
        keep_rewards(run, judges)
    elif run.exists():
        run.check(config.identity(), growing=GROWING)
    if run.exists():
        _keep_suite(run, suite, whole, files, dry_run=dry_run)
    return Session(config, suite.prompts, sources, judges, run)


def reopen(path: Path, *, dry_run: bool = False, **operational: Any) -> Session:
    """Open a run folder that was started before, with its own settings.

    Args:
        path: The run folder.
        dry_run: Write nothing into it.
        **operational: Settings that may differ between two starts, such as the device; rewards
            are added to those that the folder has.

    Raises:
        PrerequisiteError: There is no run in the folder, or the weights of a reward are missing.
        UsageError: No such reward.
        ConfigError: Its settings are damaged.
        InputError: Its prompts are missing.
    """
    run = RunFolder(path)
    # Where the weights lay is no part of what a run is, yet later stages need the same ones.
    weights = os.environ.get(environment_name("weights_dir")) or read_json(
        run.path / "provenance.json"
    ).get("weights_dir")
    given = {"run": path, "weights_dir": Path(weights) if weights else None} | operational
    config = restore(run.config(), given, source=path / "run.toml")
    prompts = tuple(read_prompts(run))
    if not prompts:
        raise InputError(
            f"run folder {path} holds no prompts",
            why="prompts.parquet is missing or damaged",
            fix="type the `turbo-eval run` command that started it again",
        )
    files = read_json(run.path / SUITE_FILE).get("files", {})
    # What the folder has may be shown where the weights are not; what is typed now must look.
    config, judges = _judged(config, run, map(reward_name, operational.get("rewards") or ()))
    if operational.get("rewards") and not dry_run:
        keep_rewards(run, judges)
    return Session(config, prompts, named_sources(_open(config), files), judges, run)


def _settings(typed: dict[str, Any], file: Path | None) -> tuple[RunConfig, Mapping[str, str]]:
    steps, guidance = typed.pop("steps", None), typed.pop("guidance", None)
    settings = take_settings(typed)
    resolved = resolve(typed, file=file)
    config = resolved.config
    updates: dict[str, Any] = {}
    if steps is not None or guidance is not None or settings:
        entries = with_defaults([m.model_dump() for m in config.models], steps, guidance)
        entries = with_settings(entries, settings)
        updates["models"] = [ModelConfig.model_validate(entry) for entry in entries]
    if config.dimensions is not None:
        updates["dimensions"] = [
            f"{PREFIX}{reward_name(name)}" if name.startswith(PREFIX) else dimension(name)
            for name in config.dimensions
        ]
    return config.model_copy(update=updates), resolved.origins


def _originals(suite: Suite) -> list[str] | None:
    """The texts of VBench's list line by line: two of them stand there twice."""
    return [e.text for e in parse(find_info()).entries] if suite.name == "vbench" else None


def _open(config: RunConfig, device: str = "cpu") -> tuple[Source, ...]:
    return open_sources(
        config.models, weights_dir=config.weights_dir, device=device, dtype=config.dtype
    )


def _judged(config: RunConfig, run: RunFolder, needed: Iterable[str]) -> tuple[RunConfig, Judges]:
    """The settings with all rewards of the run, and its judges with them.

    Args:
        config: The settings.
        run: The run folder; need not exist.
        needed: Rewards whose weights must be there.
    """
    config = config.model_copy(update={"rewards": rewards_of(config, run)})
    return config, _judges(config, run, needed=needed)


def _judges(
    config: RunConfig, run: RunFolder, *, device: str = "cpu", needed: Iterable[str] = ()
) -> Judges:
    judges = load_judges(
        config.judges,
        device=device,
        weights_dir=config.weights_dir,
        compat=config.compat,
        dtype=config.judge_dtype,
    )
    return with_rewards(
        judges,
        config.rewards,
        run,
        needed=needed,
        weights_dir=config.weights_dir,
        device=device,
    )


def _keep_suite(
    run: RunFolder, suite: Suite, whole: int, files: Mapping[str, str], *, dry_run: bool
) -> None:
    """Store the prompts at the first start; later, refuse a suite whose texts have changed."""
    frozen = read_json(run.path / SUITE_FILE)
    if frozen and frozen.get("checksum") != suite.checksum:
        raise ConfigError(
            f"suite {suite.name} is not the one that {run.path} was started with",
            why="the texts of its file have changed",
            fix="restore the file, or use another --run folder",
        )
    if dry_run:
        return
    if run.prompts.count() < len(suite):
        run.prompts.append([PromptRow.of(prompt) for prompt in suite.prompts])
    if not frozen:
        write_json_atomic(
            run.path / SUITE_FILE,
            {
                "name": suite.name,
                "source": suite.source,
                "licence": suite.licence,
                "checksum": suite.checksum,
                "prompts": len(suite),
                "of": whole,
                "notes": list(suite.notes),
                **({"files": dict(files)} if files else {}),
                **({"standard": True} if suite.info.get("standard") else {}),
            },
        )
