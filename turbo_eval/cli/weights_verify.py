"""What `turbo-eval weights verify` says of one file: its checksum, and a strict load."""

from pathlib import Path
from shlex import quote
from typing import Any

from turbo_eval.backbones.official.files import VOCABULARY
from turbo_eval.backbones.official.marks import checksum, random_mark
from turbo_eval.backbones.official.weights import read_state
from turbo_eval.cli.weights_files import Known
from turbo_eval.core.errors import TurboError, one_line


def verified(entry: Known, folder: Path | None) -> dict[str, Any]:
    """What a checksum and a strict load say of one file.

    Args:
        entry: The file.
        folder: The folder of weights that the user named, if any.

    Returns:
        `file`, `id`, `path`, `sha256`, `proof`, and `state`: `missing`, `ok`, `random`, `read`
        (whole, but its network needs another file, too) or `wrong`.
    """
    from turbo_eval.backbones.official import PARTS
    from turbo_eval.backbones.official.pull import check_published
    from turbo_eval.backbones.official.ready import check_role, check_vocabulary, missing_files

    file = entry.file
    row: dict[str, Any] = {"file": file.file, "id": file.id, "path": None, "sha256": None}
    path = entry.locate(folder)
    if path is None:
        where = f" --weights-dir {quote(str(folder))}" if folder else ""
        return row | {"state": "missing", "proof": f"turbo-eval weights pull {file.id}{where}"}
    row["path"] = path
    mark = random_mark(path)
    try:
        if file is VOCABULARY:
            check_vocabulary(path)
        if mark or path.name in file.also:
            row["sha256"], proof = checksum(path), f"random, seed {mark.seed}" if mark else "port"
        else:
            row["sha256"], proof = check_published(path, file)
        for role in file.roles:
            if file is VOCABULARY or role not in PARTS:
                continue
            if waits := missing_files(role, folder):
                # Alone it cannot become its network, but it can be no web page either.
                read_state(path, wrapper=file.wrapper, prefix=file.prefix)
                proof += f"; read, but not loaded, {waits[0].file} is missing"
                continue
            check_role(role, folder)
            proof += "; loads strictly"
    except TurboError as error:
        # What to type is said once, at the end.
        return row | {"state": "wrong", "proof": one_line(f"{error.what}: {error.why}")}
    state = "random" if mark else "read" if "not loaded" in proof else "ok"
    return row | {"state": state, "proof": proof}
