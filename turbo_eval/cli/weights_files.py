"""Which files `turbo-eval weights` knows beside those of the judges: of rewards and of models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from turbo_eval.backbones.official import weights as official
from turbo_eval.backbones.official.files import ALL, WeightsFile
from turbo_eval.core.errors import unknown
from turbo_eval.metrics.rewards import files as rewards
from turbo_eval.models import published

Locate = Callable[[Path | None], Path | None]


@dataclass(frozen=True, slots=True)
class Known:
    """One file, or one folder in diffusers' layout.

    Attributes:
        file: Its facts; `roles` names the parts of the judges, the reward or the models.
        group: What it is for.
        locate: Where it lies, given the folder that the user named; None when nowhere.
        instead: What to type where it is a folder, which this command does not pull.
    """

    file: WeightsFile
    group: Literal["judges", "reward", "model"]
    locate: Locate
    instead: str = ""


def _judges(file: WeightsFile) -> Known:
    return Known(file, "judges", lambda folder: official.locate(file, folder))


def _reward(source: rewards.Source) -> Known:
    file = WeightsFile(
        id=source.id,
        file=source.files[0],
        roles=(f"reward {source.id}",),
        cache="",
        megabytes=source.megabytes,
        licence=source.licence,
        page=source.page,
        url=f"{source.page}/resolve/main/{source.hub_files[0]}" if source.pull else "",
    )
    return Known(file, "reward", lambda folder: rewards.locate(source, folder))


def _model(source: published.Source, name: str, models: Sequence[str]) -> Known:
    file = WeightsFile(
        id=name,
        file=source.names[0],
        roles=tuple(models),
        cache="",
        megabytes=1000 * source.gigabytes,
        licence=source.licence,
        page=source.page,
        url=source.url,
    )
    instead = "" if source.file else f"turbo-eval models pull {source.hub}"
    return Known(file, "model", lambda folder: published.locate(source, folder), instead)


@cache
def known() -> MappingProxyType[str, Known]:
    """Short name -> file: those of the judges first, then of rewards, then of models."""
    entries = [_judges(file) for file in ALL]
    towers = (*rewards.SOURCES.values(), rewards.IMAGEREWARD, rewards.INTERNVIDEO2)
    entries += [_reward(source) for source in towers]
    users: dict[published.Source, list[str]] = {}
    for system in published.SYSTEMS.values():
        for source in (system.base, system.student):
            if source is not None:
                users.setdefault(source, []).append(system.name)
    # The first system of a file is the one that is named after it.
    entries += [_model(source, names[0], names) for source, names in users.items()]
    return MappingProxyType({entry.file.id: entry for entry in entries})


def known_file(name: str) -> Known:
    """The entry of a file by its short name or its file name.

    Raises:
        UsageError: No such file; the nearest names are suggested.
    """
    entries = known()
    for entry in entries.values():
        if name in (entry.file.id, entry.file.file):
            return entry
    raise unknown("file of weights", name, [*entries, *(e.file.file for e in entries.values())])
