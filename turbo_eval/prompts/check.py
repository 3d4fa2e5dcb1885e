"""Verify a suite: count, checksum, schema, facts, and that every dimension is served."""

from dataclasses import dataclass

from turbo_eval.prompts.dimensions import DIMENSIONS, missing_facts
from turbo_eval.prompts.manifest import read_manifest
from turbo_eval.prompts.suite import Suite

MINI_PER_DIMENSION = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: The thing: count, checksum, ids, facts, coverage.
        passed: Whether it is as it must be.
        detail: What was found.
    """

    what: str
    passed: bool
    detail: str


def check(suite: Suite) -> list[Finding]:
    """Look at everything that can be verified about a loaded suite.

    Loading has already refused bad text and, for suites with a manifest, a wrong checksum or count;
    these are listed again so that the report is complete.

    Args:
        suite: A whole suite, not a selection.

    Returns:
        At least count, checksum, ids, facts and coverage.
    """
    return [_count(suite), _checksum(suite), _ids(suite), _facts(suite), _coverage(suite)]


def _count(suite: Suite) -> Finding:
    entries = suite.info.get("entries")
    detail = f"{len(suite)} prompts"
    if entries is not None and entries != len(suite):
        detail += f" from {entries} entries"
    published = read_manifest(suite.name).count if suite.name in _WITH_MANIFEST else None
    return Finding("count", entries == published or published is None, detail)


def _checksum(suite: Suite) -> Finding:
    if suite.name not in _WITH_MANIFEST:
        known = suite.name.startswith("vbench:category:")
        kind = "as published" if known else "no published checksum to compare with"
        return Finding("checksum", True, f"{suite.checksum[:12]}: {kind}")
    expected = read_manifest(suite.name).sha256
    same = suite.checksum == expected
    return Finding(
        "checksum", same, f"{suite.checksum[:12]}: {'as' if same else 'not as'} published"
    )


def _ids(suite: Suite) -> Finding:
    distinct = len({prompt.id for prompt in suite})
    texts = len({prompt.text for prompt in suite})
    return Finding(
        "ids", distinct == len(suite), f"{distinct} distinct ids, {texts} distinct texts"
    )


def _facts(suite: Suite) -> Finding:
    lacking = [
        (prompt, fact)
        for prompt in suite
        for name in prompt.dimensions
        for fact in missing_facts(name, prompt.auxiliary)
    ]
    if not lacking:
        return Finding("facts", True, "every dimension has the facts it needs")
    prompt, fact = lacking[0]
    return Finding("facts", False, f"{len(lacking)} missing, first {fact} of prompt {prompt.id}")


def _coverage(suite: Suite) -> Finding:
    counts = suite.counts()
    if not counts:
        return Finding("coverage", False, "serves no dimension")
    least = min(counts, key=lambda name: counts[name])
    detail = f"{len(counts)} dimensions, at least {counts[least]} prompts each ({least})"
    absent = [name for name in DIMENSIONS if name not in counts]
    whole = suite.name in ("mini", "vbench")
    if whole and absent:
        return Finding("coverage", False, f"not served: {', '.join(absent)}")
    enough = suite.name != "mini" or counts[least] >= MINI_PER_DIMENSION
    return Finding("coverage", enough, detail)


_WITH_MANIFEST = ("mini", "vbench", "evalcrafter")
