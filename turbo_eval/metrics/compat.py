"""Which reading of VBench a score follows where the official program has a quirk."""

from typing import Final, Literal, get_args

from turbo_eval.core.errors import unknown

Compat = Literal["vbench", "fixed"]
"""`vbench` reproduces the official number, quirk included; `fixed` measures what the name says."""

COMPATS: Final[tuple[str, ...]] = get_args(Compat)


def check_compat(value: str) -> Compat:
    """Return `value` as a `Compat`.

    Args:
        value: `vbench` or `fixed`.

    Returns:
        The same word, typed.

    Raises:
        UsageError: for any other word; the nearest one is named.
    """
    if value == "vbench":
        return "vbench"
    if value == "fixed":
        return "fixed"
    raise unknown("compat mode", value, COMPATS)
