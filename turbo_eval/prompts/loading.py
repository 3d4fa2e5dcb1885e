"""`load`: from what a user types to a suite."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from turbo_eval.core.errors import UsageError, unknown
from turbo_eval.core.plugins import load_plugins
from turbo_eval.core.registry import Registry
from turbo_eval.prompts.custom import load_custom
from turbo_eval.prompts.dimensions import DIMENSIONS, dimension
from turbo_eval.prompts.evalcrafter import load_evalcrafter
from turbo_eval.prompts.formats import SUFFIXES
from turbo_eval.prompts.mini import load_mini
from turbo_eval.prompts.suite import Suite
from turbo_eval.prompts.text import shown
from turbo_eval.prompts.vbench import CATEGORIES, load_category, load_vbench

NAMES: tuple[str, ...] = ("mini", "vbench", "evalcrafter")


@cache
def registry() -> Registry[Callable[[], Suite]]:
    """Return the suites that other packages add: names to functions without arguments.

    A package adds one with an entry point in the group ``turbo_eval.suites``, a plug-in with
    ``registry().add(name, function)``.
    """
    return Registry("suite", entry_points="turbo_eval.suites")


def load(
    name_or_path: str | Path,
    *,
    subset: str | None = None,
    file: Path | None = None,
    allow_long: bool = False,
) -> Suite:
    """Load a prompt suite.

    Args:
        name_or_path: ``mini``; ``vbench``; ``vbench:FILE`` (a list in the schema of
            VBench_full_info.json); ``vbench:dimension:NAME``; ``vbench:category:NAME`` (or
            ``all``); ``evalcrafter``; ``evalcrafter:FOLDER``; ``custom:FILE``; a path that ends in
            .txt, .csv, .json or .jsonl (the same as custom); or a suite that another package added.
        subset: A part of it: ``dimension:NAME`` or a dimension's name; for ``vbench`` also
            ``category:NAME`` or a category's name.
        file: The file or folder of ``vbench``, ``evalcrafter`` or ``custom``, as an alternative to
            writing it behind the colon.
        allow_long: Accept prompts of more than 2,000 characters in the user's own files.

    Returns:
        The suite: `prompts` (each with id, text, dimensions, auxiliary facts), `source`, `licence`,
        `checksum` and `notes`, which a command line shows on stderr.

    Raises:
        UsageError: For an unknown suite, dimension or category; names the nearest ones.
        PrerequisiteError: When an outside suite is not on this machine; says how to get it.
        InputError: When a file cannot be read, is damaged or holds what is no prompt.
    """
    if isinstance(name_or_path, Path):
        name, rest = "custom", str(name_or_path)
    else:
        name, rest = _split(name_or_path)
    if file is not None:
        if rest:
            raise UsageError(
                f"suite {shown(name_or_path)} and a file are both given",
                why="the part behind the colon says already what to read",
                fix=f"{name} with --file, or {name}:FILE without",
            )
        rest = str(file)
    if name == "vbench":
        return _vbench(rest, subset, named_file=file is not None, allow_long=allow_long)
    return _narrow(_plain(name, rest, allow_long=allow_long), subset)


def _split(text: str) -> tuple[str, str]:
    head, colon, rest = text.partition(":")
    if head in (*NAMES, "custom"):
        if colon and not rest:
            alone = "" if head == "custom" else f", or {head} alone"
            raise UsageError(f"nothing follows {shown(text)}", fix=f"write {head}:FILE{alone}")
        return head, rest
    if text in registry_names():
        return text, ""
    if Path(text).suffix.lower() in SUFFIXES:
        return "custom", text
    raise unknown("suite", text, (*NAMES, "custom:FILE", *registry_names()))


def registry_names() -> list[str]:
    """Return the names of the suites that other packages added."""
    load_plugins()
    return registry().names()


def _plain(name: str, rest: str, *, allow_long: bool) -> Suite:
    if name == "custom":
        if not rest:
            raise UsageError("suite custom needs a file", fix="write custom:my_prompts.txt")
        return load_custom(Path(rest).expanduser(), allow_long=allow_long)
    if name == "evalcrafter":
        return load_evalcrafter(Path(rest).expanduser() if rest else None)
    if rest:
        raise UsageError(
            f"suite {name} has no part {shown(rest)}", fix="choose with --dimensions or --prompts"
        )
    return load_mini() if name == "mini" else registry().get(name)()


def _vbench(rest: str, subset: str | None, *, named_file: bool, allow_long: bool) -> Suite:
    kind, colon, part = rest.partition(":")
    if not named_file and colon and kind in ("category", "dimension"):
        if kind == "category":
            return _narrow(load_category(part), subset)
        suite = load_vbench()
        return _narrow(suite.select(dimensions=part), subset)
    if subset is not None:
        part = subset.removeprefix("category:")
        if part != subset or (part in (*CATEGORIES, "all") and not rest):
            if rest:
                raise UsageError(
                    f"category {shown(part)} of a file",
                    why="the categories are lists of their own",
                    fix=f"vbench:category:{shown(part)}",
                )
            return load_category(part)
    path = Path(rest).expanduser() if rest else None
    return _narrow(load_vbench(path, allow_long=allow_long), subset)


def _narrow(suite: Suite, subset: str | None) -> Suite:
    if subset is None:
        return suite
    name = subset.removeprefix("dimension:")
    try:
        name = dimension(name)
    except UsageError:
        parts = (*DIMENSIONS, *(CATEGORIES if suite.name == "vbench" else ()))
        raise unknown("part of suite " + suite.name, subset, parts) from None
    return suite.select(dimensions=name)
