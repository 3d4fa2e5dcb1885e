"""What suites there are, and whether each is ready on this machine."""

from dataclasses import dataclass
from pathlib import Path

from turbo_eval.core.errors import TurboError
from turbo_eval.prompts.dimensions import FREE_DIMENSIONS
from turbo_eval.prompts.formats import SUFFIXES
from turbo_eval.prompts.loading import load, registry_names
from turbo_eval.prompts.manifest import Manifest, read_manifest
from turbo_eval.prompts.vbench import CATEGORIES, PER_CATEGORY, find_category


@dataclass(frozen=True, slots=True)
class SuiteStatus:
    """One line of the list.

    Attributes:
        name: What to type.
        title: One line for people.
        prompts: Number of distinct prompts; `None` when not known here.
        dimensions: Number of dimensions served; `None` when not known here.
        ready: Whether it can be loaded now.
        where: The file or folder that is read; empty when not ready.
        how: How to make it ready; empty when ready.
        source: Where the texts come from.
        licence: Their licence.
    """

    name: str
    title: str
    prompts: int | None
    dimensions: int | None
    ready: bool
    where: str
    how: str
    source: str
    licence: str


def catalogue() -> list[SuiteStatus]:
    """Return the state of every suite; a suite that fails to load is not ready and says why."""
    rows = [_status("mini"), _status("vbench"), _categories(), _status("evalcrafter")]
    rows += [_status(name) for name in registry_names()]
    custom = SuiteStatus(
        name="custom:FILE",
        title="Prompts from a file of your own",
        prompts=None,
        dimensions=None,
        ready=True,
        where=f"any {', '.join(SUFFIXES)} file",
        how="",
        source="the user",
        licence="the user's own",
    )
    return [*rows, custom]


def _manifest(name: str) -> Manifest | None:
    try:
        return read_manifest(name)
    except TurboError:
        return None


def _status(name: str) -> SuiteStatus:
    try:
        suite = load(name)
    except TurboError as error:
        known = _manifest(name)
        reason = f"{error.what}: {error.why}. {error.fix}" if error.exit_code != 4 else error.fix
        return SuiteStatus(
            name=name,
            title=known.title if known else name,
            prompts=(known.prompts or known.count) if known else None,
            dimensions=known.dimensions if known else None,
            ready=False,
            where="",
            how=reason,
            source=known.source if known else "",
            licence=known.licence if known else "",
        )
    return SuiteStatus(
        name=name,
        title=str(suite.info.get("title", name)),
        prompts=len(suite),
        dimensions=len(suite.dimensions),
        ready=True,
        where=str(suite.info.get("file", "")),
        how="",
        source=suite.source,
        licence=suite.licence,
    )


def _categories() -> SuiteStatus:
    known = read_manifest("vbench")
    where: Path | None = None
    how = ""
    try:
        where = {name: find_category(name).parent for name in CATEGORIES}[CATEGORIES[0]]
    except TurboError as error:
        how = error.fix
    return SuiteStatus(
        name="vbench:category:NAME",
        title=f"VBench by content: {', '.join(CATEGORIES)}, or all",
        prompts=PER_CATEGORY,
        dimensions=len(FREE_DIMENSIONS),
        ready=where is not None,
        where=str(where or ""),
        how=how,
        source=known.source,
        licence=known.licence,
    )
