"""Rewards beside the judges of a run: which ones it has, and how they join the judges.

Rewards are no part of the settings that a run folder is started with, so that a folder gets one
more at any time and only that one looks at the videos. Which ones a folder has stands in
`rewards.json`, with the key of their weights: a page can be made again where the weights are not.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from turbo_eval.backbones.judges import Judges
from turbo_eval.backbones.protocol import Backbone, BackboneInfo, Features
from turbo_eval.config import RunConfig
from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.core.plugins import load_plugins
from turbo_eval.core.records import Prompt
from turbo_eval.core.runs import RunFolder, exclusive
from turbo_eval.core.store import write_json_atomic
from turbo_eval.metrics.rewards.backbone import reward_backbone
from turbo_eval.metrics.rewards.base import PREFIX
from turbo_eval.metrics.rewards.load import REGISTRY
from turbo_eval.metrics.rewards.metric import part
from turbo_eval.video.clip import Clip

REWARDS_FILE: Final = "rewards.json"


def reward_name(typed: str) -> str:
    """The registered name of a reward as a user types it, with or without `reward.`.

    Raises:
        UsageError: No such reward; the nearest ones are suggested.
    """
    load_plugins()
    return REGISTRY.resolve(typed.strip().removeprefix(PREFIX))


def rewards_of(config: RunConfig, run: RunFolder) -> list[str]:
    """The rewards of a run: those that its folder has, then those that its settings add.

    Args:
        config: Its settings; a dimension `reward.NAME` is a reward.
        run: The run folder; need not exist.

    Raises:
        UsageError: No such reward.
        InputError: The folder's list is damaged.
    """
    return list(dict.fromkeys([*_kept(run), *asked(config)]))


def asked(config: RunConfig) -> list[str]:
    """The rewards that settings name, each once.

    Raises:
        UsageError: No such reward.
    """
    named = [name for name in config.dimensions or () if name.startswith(PREFIX)]
    return list(dict.fromkeys(reward_name(name) for name in (*config.rewards, *named)))


def with_rewards(
    judges: Judges,
    names: Iterable[str],
    run: RunFolder,
    *,
    needed: Iterable[str] = (),
    weights_dir: Path | None = None,
    device: str = "cpu",
) -> Judges:
    """Let rewards look at the videos beside the judges; reads no weights.

    Args:
        judges: The judges, without rewards.
        names: Registered names.
        run: The run folder; need not exist.
        needed: Names among them whose files must be there now. Of the others the folder knows the
            key, so that finished scores count; they must be there when a video is looked at.
        weights_dir: The folder of weights that the user named, if any.
        device: Where the networks run.

    Raises:
        PrerequisiteError: A file of weights is missing; says where to put it.
        UsageError: No such reward.
    """
    known, wanted = _kept(run), set(needed)
    beside: dict[str, Backbone] = {}
    for name in names:
        try:
            found: Backbone = reward_backbone(name, weights_dir=weights_dir, device=device)
        except PrerequisiteError as error:
            if name in wanted or name not in known:
                raise
            found = _Absent(name, known[name], error)
        beside[part(name)] = found
    return replace(judges, beside=beside) if beside else judges


def keep_rewards(run: RunFolder, judges: Judges) -> None:
    """Add the judges' rewards to the list of the folder; what is there stays.

    Raises:
        InputError: The list is damaged.
        PrerequisiteError: The folder cannot be written.
    """
    if not judges.beside:
        return
    now = {
        role.removeprefix(part("")): {"version": info.version, "weights": info.weights}
        for role, info in judges.infos.items()
        if role in judges.beside
    }
    # Two processes may each bring a reward at the same time.
    with exclusive(run.path / ".rewards.lock"):
        before = _kept(run)
        if before | now != before:
            write_json_atomic(run.path / REWARDS_FILE, before | now)


def _kept(run: RunFolder) -> dict[str, Mapping[str, Any]]:
    path = run.path / REWARDS_FILE
    # Unlike Path.read_text, this bears a name that cannot be: it is refused where runs are made.
    if not os.path.lexists(path):
        return {}
    try:
        found: dict[str, Mapping[str, Any]] = json.loads(path.read_text("utf-8"))
        return {str(name): {"version": e["version"], "weights": e["weights"]}
                for name, e in found.items()}  # fmt: skip
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read",
            why=str(error) or "it is no list of rewards",
            fix="delete it and name the rewards again: turbo-eval run ... --rewards NAME",
        ) from error


class _Absent:
    """A reward of a folder whose weights are not here: its scores count, it looks at nothing."""

    def __init__(self, name: str, known: Mapping[str, Any], error: PrerequisiteError) -> None:
        self._error = error
        self._info = BackboneInfo(
            id=f"{PREFIX}{name}",
            role=part(name),
            version=int(known["version"]),
            weights=str(known["weights"]),
            description="Its weights are not on this machine.",
        )

    @property
    def info(self) -> BackboneInfo:
        """Facts of the reward, as the folder knows them."""
        return self._info

    def extract(self, clip: Clip, prompt: Prompt) -> Features:  # noqa: ARG002 (signature of Backbone)
        """Refuse.

        Raises:
            PrerequisiteError: Always; says which file is missing.
        """
        raise self._error
