"""Recipes of the mini judges: train a part from nothing, measure it, ship it with its card.

Each part's module here has `train(work) -> Trained` and `measure(module, pools) -> dict[str,
Measured]`. What is measured is the network as shipped, read back from its float16 file.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final

from turbo_eval.backbones.mini import PARTS, weights
from turbo_eval.core.errors import unknown
from turbo_train.world.judges.card import write_card
from turbo_train.world.judges.common import Measured, Work, silent


def run(role: str, work: Work, where: Path | None = None) -> dict[str, Measured]:
    """Train (or resume) one part, ship its weights and card, and return its accuracies.

    Args:
        role: One of `PARTS`.
        work: Folder of the checkpoint, folder of the rendered pools, device, and where lines go.
        where: Folder of the weights; None for the package's own.
    """
    recipe = import_module(f"{__name__}.{role}")
    network = import_module(f"turbo_eval.backbones.mini.{role}")
    trained = recipe.train(work)
    weights.save(role, trained.module.state_dict(), where)
    shipped = network.build()
    shipped.load_state_dict(weights.load(role, where))
    shipped.requires_grad_(False).eval().to(work.device)
    accuracies: dict[str, Measured] = recipe.measure(shipped, work.pools)
    write_card(role, trained, accuracies, device=work.device, where=where)
    for name, value in accuracies.items():
        work.say(f"{role}: {name} = {value}")
    return accuracies


RECIPES: Final[Mapping[str, Callable[[Work], dict[str, Measured]]]] = MappingProxyType(
    {role: partial(run, role) for role in PARTS}
)
"""Part -> function that trains, ships and measures it."""


def train_all(
    folder: Path,
    only: Iterable[str] | None = None,
    *,
    device: str = "cpu",
    say: Callable[[str], None] = silent,
) -> None:
    """Train the parts in `folder` (a checkpoint folder each; finished ones are only measured).

    Args:
        folder: Working folder; not part of the package.
        only: Some of `PARTS`; None for all.
        device: `cpu` or `cuda`.
        say: Where a line of progress goes.

    Raises:
        UsageError: No such part.
    """
    chosen = list(only) if only is not None else list(PARTS)
    for role in chosen:
        if role not in RECIPES:
            raise unknown("part of the mini judges", role, PARTS)
    for role in chosen:
        RECIPES[role](Work(folder / role, folder / "pools", device, say))
