"""Our own suite `mini`: captions of the mini world, in VBench's schema."""

from pathlib import Path

from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.prompts.entries import merge, merge_note, prompts_from
from turbo_eval.prompts.formats import parse
from turbo_eval.prompts.manifest import data_root, read_manifest, verify
from turbo_eval.prompts.suite import Suite

FILE = "mini_full_info.json"


def load_mini(*, root: Path | None = None) -> Suite:
    """Read the suite that ships with this project and compare it with its manifest.

    Args:
        root: The folder of suites; the project's own by default.

    Raises:
        PrerequisiteError: When it is not there.
        InputError: When it was changed without its manifest.
    """
    base = root or data_root()
    path = base / "mini" / FILE
    if not path.is_file():
        raise PrerequisiteError(
            "suite mini is missing", why=f"{path} is not there", fix="install turbo-eval again"
        )
    manifest = read_manifest("mini", root=base)
    parsed = parse(path)
    digest = verify(
        parsed.data,
        manifest.sha256,
        "suite mini",
        fix="restore it, or pass your version as custom:FILE",
    )
    if len(parsed.entries) != manifest.count:
        raise InputError(
            "suite mini is incomplete",
            why=f"it has {len(parsed.entries)} entries, its manifest says {manifest.count}",
            fix="restore the file or correct the manifest",
        )
    entries, joins = merge(parsed.entries)
    return Suite(
        name="mini",
        prompts=prompts_from(entries, "mini"),
        source=manifest.source,
        licence=manifest.licence,
        checksum=digest,
        notes=merge_note(joins),
        info={"title": manifest.title, "file": str(path), "entries": len(parsed.entries)},
    )
