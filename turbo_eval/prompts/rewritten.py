"""Rewritten prompts: what is typed to a model instead of a suite's own texts.

VBench ships long versions of its prompts for models that want them. Files are still named by the
original, and what reads text is scored against the original; so a rewritten text is a fact of the
prompt, beside it, and gives the prompt another id: its videos and scores never mix with those of
the original.

Source: VBench (arXiv 2311.17982), its prompts for augmented sampling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt, prompt_id
from turbo_eval.prompts.formats import parse
from turbo_eval.prompts.manifest import checksum
from turbo_eval.prompts.suite import Suite
from turbo_eval.prompts.text import shown

FACT = "rewritten"
"""Key of the fact, beside those of the dimensions: {"text": ..., "source": ...}."""


def spoken(prompt: Prompt) -> str:
    """The text that is typed to a model: the rewritten one where there is one."""
    fact = prompt.auxiliary.get(FACT)
    text = fact.get("text") if isinstance(fact, Mapping) else None
    return text if isinstance(text, str) and text else prompt.text


def with_rewritten(suite: Suite, path: Path, originals: Sequence[str] | None = None) -> Suite:
    """Give every prompt of a suite its rewritten text.

    Args:
        suite: The whole suite, not a selection.
        path: A JSON object {original: rewritten}, or a list of texts (.txt, .json, .jsonl) as long
            as the suite's own, line by line.
        originals: The suite's own texts as its file lists them, when some stand there twice;
            the texts of its prompts when None.

    Returns:
        The same suite with other ids and another checksum.

    Raises:
        InputError: The file cannot be read, has another number of texts, or lacks a prompt.
    """
    parsed = parse(path, allow_long=True)
    if parsed.files:
        texts = dict(parsed.files)
        lacking = [prompt.text for prompt in suite if prompt.text not in texts]
        if lacking:
            raise InputError(
                f"{shown(path, 300)} rewrites {len(suite) - len(lacking)} of {len(suite)} prompts",
                why=f"it has no text for {shown(lacking[0])}",
                fix="add the missing originals as keys",
            )
    else:
        own = list(originals or [prompt.text for prompt in suite])
        if len(parsed.entries) != len(own):
            raise InputError(
                f"{shown(path, 300)} holds {len(parsed.entries)} texts",
                why=f"suite {suite.name} has {len(own)}, and they are matched line by line",
                fix='give as many lines, or a JSON object {"original": "rewritten", ...}',
            )
        # Of two lines for one original the first counts, as its videos are made once.
        texts = {}
        for original, entry in zip(own, parsed.entries, strict=True):
            texts.setdefault(original, entry.text)
    digest = checksum(parsed.data)
    prompts = []
    for prompt in suite:
        fact = {"text": texts[prompt.text], "source": shown(path.name)}
        facts = {**prompt.auxiliary, FACT: fact}
        prompts.append(
            replace(prompt, id=prompt_id(prompt.suite, prompt.text, facts), auxiliary=facts)
        )
    return replace(
        suite,
        prompts=tuple(prompts),
        checksum=checksum(f"{suite.checksum} {digest}".encode()),
        notes=(
            *suite.notes,
            f"models are given the texts of {shown(path.name)}; names of files and scores keep to "
            "the originals",
        ),
        info={**suite.info, "rewritten": {"file": shown(path.name), "sha256": digest}},
    )
