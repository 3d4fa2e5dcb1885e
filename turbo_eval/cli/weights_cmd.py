"""`turbo-eval weights`: the official files of VBench's networks, of rewards and of models."""

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from turbo_eval.backbones.official.files import ALL, FILES, VOCABULARY, WeightsFile, file_of
from turbo_eval.backbones.official.marks import random_mark
from turbo_eval.backbones.official.weights import fault, folders, place
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.cli.weights_files import Known, known, known_file
from turbo_eval.cli.weights_verify import verified
from turbo_eval.config import resolve
from turbo_eval.core.errors import (
    InputError,
    PartialFailure,
    PrerequisiteError,
    TurboError,
    UsageError,
)

app = typer.Typer(
    add_completion=False,
    help="Official weights: list, pull, verify, where, random.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        help="Files by short name or file name; all of the judges when not given.", metavar="FILE"
    ),
]
WeightsDir = Annotated[
    Path | None,
    typer.Option(
        "--weights-dir",
        help="Folder of weights; before TURBO_EVAL_WEIGHTS_DIR and VBench's own cache.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@app.command("list", epilog="Example: turbo-eval weights list")
def list_command(weights_dir: WeightsDir = None, as_json: AsJson = False) -> None:
    """List every official file: size, licence, who reads it, where it lies or comes from.

    The files of the judges stand first, then those of rewards and of published models.
    """
    rows = [_facts(entry, _folder(weights_dir)) for entry in known().values()]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["for", "file", "id", "mb", "licence", "parts", "state", "where"],
        [
            [r["group"], r["file"], r["id"], f"{r['megabytes']:g}", r["licence"], r["roles"],
             r["state"], r["path"] or r["page"]]
            for r in rows
        ],
    )  # fmt: skip
    judges = [row for row in rows if row["group"] == "judges"]
    missing = [row["id"] for row in judges if row["state"] == "missing"]
    if missing:
        _say(
            f"Missing of the judges: {len(missing)} of {len(judges)}. "
            "Get them with: turbo-eval weights pull; others by their id"
        )


@app.command("where", epilog="Example: turbo-eval weights where raft")
def where_command(
    files: Names = None, weights_dir: WeightsDir = None, as_json: AsJson = False
) -> None:
    """Print where each file lies; leaves with 4 when one is nowhere."""
    folder = _folder(weights_dir)
    found = {entry.file: entry.locate(folder) for entry in _chosen(files)}
    if as_json:
        print_json(
            {
                "searched": folders(folder),
                "files": {file.file: path for file, path in found.items()},
            }
        )
    else:
        print_table(["file", "path"], [[file.file, path] for file, path in found.items()])
    missing = [file for file, path in found.items() if path is None]
    if missing:
        raise PrerequisiteError(
            f"{len(missing)} of {len(found)} files are nowhere",
            why=f"searched {', '.join(map(str, folders(folder)))}",
            fix=_pull([file.id for file in missing], weights_dir),
        )


@app.command("verify", epilog="Example: turbo-eval weights verify --weights-dir weights")
def verify_command(
    files: Names = None, weights_dir: WeightsDir = None, as_json: AsJson = False
) -> None:
    """Check the files that are there: checksums, and that each loads strictly as its network.

    Works offline. Leaves with 6 when a file is wrong, with 4 when none of the files is there. A
    file in state `read` is whole, but its network needs another one, too.
    """
    folder = _folder(weights_dir)
    rows = [verified(entry, folder) for entry in _chosen(files)]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ["file", "state", "proof", "sha256"],
            [[r["file"], r["state"], r["proof"], (r["sha256"] or "")[:16]] for r in rows],
        )
    wrong = [row for row in rows if row["state"] == "wrong"]
    if wrong:
        raise PartialFailure(
            f"{len(wrong)} of {len(rows)} files are wrong",
            why=wrong[0]["proof"],
            fix=_pull([row["id"] for row in wrong], weights_dir, "--again"),
        )
    if all(row["state"] == "missing" for row in rows):
        raise PrerequisiteError(
            "there are no weights to verify",
            why=f"searched {', '.join(map(str, folders(folder)))}",
            fix=_pull([], weights_dir),
        )


@app.command("pull", epilog="Example: turbo-eval weights pull clip-b32 dino --weights-dir weights")
def pull_command(
    files: Names = None,
    weights_dir: WeightsDir = None,
    source: Annotated[
        str, typer.Option("--from", help="HTTPS address of a folder with the files (a mirror).")
    ] = "",
    again: Annotated[bool, typer.Option(help="Get a file even if it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Download what is missing; a broken download goes on where it stopped.

    Files are compared with published checksums where there are any, and never unpickled. Their
    licences are printed first; some forbid commercial use.
    """
    from turbo_eval.backbones.official.pull import pull

    folder = _folder(weights_dir)
    done: list[dict[str, Any]] = []
    failed: list[tuple[WeightsFile, TurboError]] = []
    wrong = mirrored = False
    for entry in _chosen(files):
        file = entry.file
        path = None if again else entry.locate(folder)
        _say(f"{file.file}: {file.megabytes:g} MB, licence {file.licence}, {file.page}")
        try:
            if entry.instead and path is None:
                raise PrerequisiteError(f"{file.file} is a folder", fix=entry.instead)
            answer = pull(
                file, path or place(file, folder), base=source, again=again, told=_Told(file.file)
            )
        except TurboError as error:
            if path is not None and isinstance(error, InputError):
                # What lies there is not the file; without --again it would be looked at again.
                error.fix = _pull([file.id], weights_dir, _from(source), "--again")
                wrong = True
            mirrored |= path is None and isinstance(error, InputError)
            failed.append((file, error))
            continue
        done.append(
            {
                "file": file.file,
                "state": answer.state,
                "path": answer.path,
                "proof": answer.proof,
                "sha256": answer.sha256,
            }
        )
    if as_json:
        print_json(done)
    elif done:
        print_table(
            ["file", "state", "path", "proof"],
            [[row["file"], row["state"], row["path"], row["proof"]] for row in done],
        )
    if failed:
        first = failed[0][1]
        if len(failed) == 1 and not done:
            raise first
        for file, reason in failed:
            _say(f"Failed: {file.file}: {reason}")
        raise PartialFailure(
            f"{len(failed)} of {len(failed) + len(done)} files were not pulled",
            why=first.what,
            fix=_pull(
                [file.id for file, _ in failed],
                weights_dir,
                # A mirror that gives other files will give them again.
                "" if mirrored else _from(source),
                "--again" if wrong else "",
            ),
        )


@app.command("random", epilog="Example: turbo-eval weights random --seed 101 --into random-weights")
def random_command(
    into: Annotated[Path, typer.Option("--into", help="Folder for the files.")],
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the first file; the k-th takes seed + k.", min=0)
    ] = 101,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="FILE", help="Only this file; repeat it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the official files with random weights, to try everything without a download.

    Scores made with them mean nothing; the files say so, and every report repeats it.
    """
    from turbo_eval.backbones.official.random_weights import LAYOUTS, write_random

    if only:
        chosen = list(dict.fromkeys(file_of(name) for name in only))
        if VOCABULARY in chosen:
            raise UsageError(
                f"{VOCABULARY.file} holds words, no weights",
                fix=f"turbo-eval weights pull {VOCABULARY.id}",
            )
    else:
        chosen = [file for file in FILES if file.id in LAYOUTS]
    written: dict[str, Path] = {}
    for file in chosen:
        _say(f"{file.file}: {file.megabytes:g} MB of random numbers")
        written |= write_random(seed, into, [file])
    if as_json:
        print_json({"seed": seed, "files": written})
        return
    print_table(
        ["file", "seed", "path"],
        [[f.file, seed + FILES.index(f), written[f.file]] for f in chosen],
    )


def _folder(typed: Path | None) -> Path | None:
    """The folder that was typed, or the one of the settings."""
    return typed or resolve().config.weights_dir


def _chosen(names: Sequence[str] | None) -> list[Known]:
    return [known_file(name) for name in dict.fromkeys(names or (file.id for file in ALL))]


def _facts(entry: Known, folder: Path | None) -> dict[str, Any]:
    file, path = entry.file, entry.locate(folder)
    mark = random_mark(path) if path else None
    checkpoint = entry.group == "judges" and file is not VOCABULARY
    state = "missing" if path is None else "random" if mark else "there"
    if path is not None and checkpoint and fault(path):
        state = "damaged"
    return {
        "group": entry.group,
        "file": file.file,
        "id": file.id,
        "megabytes": file.megabytes,
        "licence": file.licence,
        "roles": file.roles,
        "page": file.page,
        "url": file.url,
        "sha256": file.sha256 or None,
        "state": state,
        "seed": mark.seed if mark else None,
        "path": path,
    }


class _Told:
    """Progress of one download: a line on stderr for every tenth of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tenth = -1

    def __call__(self, count: int, total: int | None) -> None:
        tenth = int(10 * count / total) if total else int(count / 100e6)
        if tenth != self.tenth:
            self.tenth = tenth
            of = f" of {total / 1e6:.0f}" if total else ""
            _say(f"{self.name}: {count / 1e6:.0f}{of} MB")


def _pull(ids: Sequence[str], weights_dir: Path | None, *more: str) -> str:
    """The command that gets files into the folder that was typed."""
    words = ["turbo-eval weights pull", *filter(None, more), *ids]
    return " ".join([*words, *(["--weights-dir", quote(str(weights_dir))] if weights_dir else [])])


def _from(source: str) -> str:
    return f"--from {quote(source)}" if source else ""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
