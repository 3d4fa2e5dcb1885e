"""Recipes of the mini rewards: train one from nothing, measure it, ship it with its card.

What is measured is the network as shipped, read back from its float16 file.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import torch

from turbo_eval.backbones.mini import words
from turbo_eval.backbones.mini.weights import save
from turbo_eval.core.errors import unknown
from turbo_eval.core.store import write_json_atomic
from turbo_eval.metrics.rewards.mini import DESCRIPTIONS, weights
from turbo_eval.metrics.rewards.mini.reward import MiniReward
from turbo_train.world.judges.card import device_name
from turbo_train.world.judges.common import Measured, Trained, Work, silent
from turbo_train.world.judges.matching import known_words
from turbo_train.world.rewards.accuracy import measure

NAMES = tuple(DESCRIPTIONS)
"""The rewards that can be trained."""
CURVE_POINTS = 40


def run(name: str, work: Work, where: Path | None = None) -> dict[str, Measured]:
    """Train (or resume) one reward, ship its weights and card, and return what was measured.

    Args:
        name: One of `NAMES`.
        work: Folder of the checkpoint, folder of the rendered clips, device, and where lines go.
        where: Folder of the weights; None for the package's own.
    """
    recipe = import_module(f"{__name__}.{name.replace('-', '_')}")
    trained: Trained = recipe.train(work)
    folder = where or weights.folder()
    words.save(known_words(), folder)
    save(name, trained.module.state_dict(), folder)
    accuracies, levels = measure(MiniReward(name, device=work.device, where=folder), work.pools)
    card = _card(name, trained, work.device, folder)
    card["measured"] = {key: asdict(value) for key, value in accuracies.items()}
    card["faults"] = {key: [asdict(value) for value in row] for key, row in levels.items()}
    write_json_atomic(folder / f"{name}.card.json", card)
    for key, value in accuracies.items():
        work.say(f"{name}: {key} = {value}")
    return accuracies


def _card(name: str, trained: Trained, device: str, folder: Path) -> dict[str, object]:
    """The card without its measurements."""
    file = weights.entry(name, folder)
    losses = trained.progress.losses
    stride = max(1, len(losses) // CURVE_POINTS)
    return {
        "reward": name,
        "description": DESCRIPTIONS[name],
        "file": file.file,
        "sha256": file.sha256,
        "bytes": file.bytes,
        "parameters": sum(p.numel() for p in trained.module.parameters()),
        "licence": "Apache-2.0",
        "command": f"turbo-train world rewards --only {name}",
        "training": {
            **trained.settings,
            "steps": trained.progress.step,
            "seconds": round(trained.progress.seconds, 1),
            "device": device_name(device),
            "torch": torch.__version__,
            "loss": losses[::-1][::stride][::-1],
        },
    }


def train_all(
    folder: Path,
    only: Iterable[str] | None = None,
    *,
    device: str = "cpu",
    say: Callable[[str], None] = silent,
    where: Path | None = None,
) -> None:
    """Train the rewards in `folder` (a checkpoint folder each; finished ones are only measured).

    Args:
        folder: Working folder; not part of the package.
        only: Some of `NAMES`; None for all.
        device: `cpu` or `cuda`.
        say: Where a line of progress goes.
        where: Folder of the weights; None for the package's own.

    Raises:
        UsageError: No such reward.
    """
    chosen = list(only) if only is not None else list(NAMES)
    for name in chosen:
        if name not in NAMES:
            raise unknown("mini reward", name, NAMES)
    for name in chosen:
        run(name, Work(folder / name, folder / "pools", device, say), where)
