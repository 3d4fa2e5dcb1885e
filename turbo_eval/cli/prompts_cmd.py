"""`turbo-eval prompts`: list, show, sync and check prompt suites."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from turbo_eval.core.errors import InputError, PrerequisiteError, TurboError, UsageError, one_line
from turbo_eval.prompts.catalogue import catalogue
from turbo_eval.prompts.check import check as check_suite
from turbo_eval.prompts.loading import NAMES, load
from turbo_eval.prompts.suite import Suite
from turbo_eval.prompts.sync import SYNCED
from turbo_eval.prompts.sync import sync as sync_suites
from turbo_eval.prompts.text import shown

app = typer.Typer(
    add_completion=False,
    help="List, show, sync and check prompt suites.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
File = Annotated[
    Path | None,
    typer.Option("--file", help="File of vbench or custom, or folder of evalcrafter."),
]
AllowLong = Annotated[
    bool, typer.Option("--allow-long", help="Accept prompts above 2,000 characters.")
]


@app.command("list", epilog="Example: turbo-eval prompts list")
def list_command(as_json: AsJson = False) -> None:
    """List the suites: prompts, dimensions, where they lie, or how to get them."""
    rows = catalogue()
    if as_json:
        _json([asdict(row) for row in rows])
        return
    table = [("SUITE", "PROMPTS", "DIMENSIONS", "READY", "WHERE, OR HOW TO GET IT")]
    table += [
        (
            row.name,
            _number(row.prompts),
            _number(row.dimensions),
            "yes" if row.ready else "no",
            row.where or row.how,
        )
        for row in rows
    ]
    _table(table)


@app.command(
    "show",
    epilog="Examples: turbo-eval prompts show mini --limit 16   |   "
    "turbo-eval prompts show vbench --dimension color --json   |   "
    "turbo-eval prompts show custom:my_prompts.csv",
)
def show_command(
    suite: Annotated[str, typer.Argument(help="mini, vbench, evalcrafter, custom:FILE, ...")],
    dimension: Annotated[
        list[str] | None, typer.Option("--dimension", help="Only this dimension (repeatable).")
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option("--prompts", help="Only this id or pattern with * or ? (repeatable)."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="A sample of this many that serves all dimensions."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the sample.")] = 0,
    file: File = None,
    allow_long: AllowLong = False,
    as_json: AsJson = False,
) -> None:
    """Show the prompts of a suite, one a line: id, dimensions, text."""
    found = load(suite, file=file, allow_long=allow_long)
    if dimension or prompts or limit is not None:
        found = found.select(
            dimensions=dimension or None, ids=prompts or None, limit=limit, seed=seed
        )
    if as_json:
        _json(_suite_json(found))
    else:
        for prompt in found:
            # Whole dimension lists are long and mostly equal; a few names tell them apart.
            names = ",".join(prompt.dimensions[:3]) + (",..." if len(prompt.dimensions) > 3 else "")
            _out(f"{prompt.id}  {names}  {shown(prompt.text, len(prompt.text))}")
    _say(f"{found.name}: {len(found)} prompts, {len(found.dimensions)} dimensions")
    _notes(found)


@app.command(
    "sync",
    epilog="Example: git clone https://github.com/evalcrafter/EvalCrafter && "
    "turbo-eval prompts sync --from EvalCrafter",
)
def sync_command(
    suites: Annotated[
        list[str] | None, typer.Argument(help="vbench, evalcrafter; all found by default.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Folder with the files, such as a clone.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy outside suites from a folder into your data folder, and verify them."""
    if source is None:
        raise UsageError(
            "sync needs a folder",
            why="turbo-eval downloads no prompts",
            fix="clone github.com/Vchitect/VBench or github.com/evalcrafter/EvalCrafter, then "
            "turbo-eval prompts sync --from THAT_FOLDER",
        )
    results = sync_suites(source.expanduser(), suites or ())
    if as_json:
        _json([{**asdict(result), "folder": str(result.folder)} for result in results])
        return
    for result in results:
        _out(
            f"{result.suite}: {len(result.copied)} files copied, {len(result.unchanged)} already "
            f"there, in {shown(result.folder, 300)}"
        )
        _say(f"{result.suite}: licence {result.licence}")
        if result.missing:
            _say(f"{result.suite}: not in that folder: {', '.join(result.missing)}")
    absent = [name for name in SYNCED if name not in {result.suite for result in results}]
    if absent and not suites:
        _say(f"not found there: {', '.join(absent)}")


@app.command("check", epilog="Example: turbo-eval prompts check vbench")
def check_command(
    suite: Annotated[
        str | None, typer.Argument(help="A suite; every suite on this machine by default.")
    ] = None,
    file: File = None,
    allow_long: AllowLong = False,
    as_json: AsJson = False,
) -> None:
    """Verify count, checksum, schema, facts and dimensions of a suite."""
    if file is not None and suite is None:
        raise UsageError("--file needs a suite", fix="turbo-eval prompts check custom --file FILE")
    records: list[dict[str, Any]] = []
    for name in [suite] if suite else list(NAMES):
        try:
            found = load(name, file=file, allow_long=allow_long)
        except PrerequisiteError as error:
            # An outside suite that is not there is no fault, unless it was asked for.
            if suite or name == "mini":
                raise
            records.append({"suite": name, "ready": False, "findings": [], "reason": error.fix})
            continue
        except TurboError as error:
            if suite:
                raise
            records.append({"suite": name, "ready": False, "findings": [], "reason": str(error)})
            records[-1]["failed"] = True
            continue
        findings = [asdict(finding) for finding in check_suite(found)]
        notes = list(found.notes)
        records.append({"suite": name, "ready": True, "findings": findings, "notes": notes})
    _print_check(records, as_json=as_json)
    failed = [record["suite"] for record in records if _failed(record)]
    if failed:
        raise InputError(
            f"suite {', '.join(failed)} failed its check", why="see above", fix="correct the file"
        )


def _failed(record: dict[str, Any]) -> bool:
    return record.get("failed", False) or not all(f["passed"] for f in record["findings"])


def _print_check(records: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        _json([{**record, "failed": _failed(record)} for record in records])
        return
    rows = []
    for record in records:
        name = record["suite"]
        if not record["ready"]:
            rows.append((name, "failed" if _failed(record) else "absent", "", record["reason"]))
        rows += [
            (name, "ok" if finding["passed"] else "FAILED", finding["what"], finding["detail"])
            for finding in record["findings"]
        ]
    _table(rows)
    for record in records:
        for note in record.get("notes", ()):
            _say(f"note: {record['suite']}: {note}")


def _suite_json(suite: Suite) -> dict[str, Any]:
    return {
        "suite": suite.name,
        "source": suite.source,
        "licence": suite.licence,
        "checksum": suite.checksum,
        "dimensions": list(suite.dimensions),
        "notes": list(suite.notes),
        "info": dict(suite.info),
        "prompts": [asdict(prompt) for prompt in suite],
    }


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _table(rows: Sequence[Sequence[str]]) -> None:
    # The last column is free text and is not padded, so that a line holds no trailing blanks.
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        _out("  ".join((*cells, one_line(row[-1]))))


def _notes(suite: Suite) -> None:
    for note in suite.notes:
        _say(f"note: {note}")


def _json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=True))


def _out(line: str) -> None:
    print(_encodable(line, sys.stdout.encoding))


def _say(line: str) -> None:
    print(_encodable(line, sys.stderr.encoding), file=sys.stderr)


def _encodable(line: str, encoding: str | None) -> str:
    # A terminal without UTF-8 must not turn an emoji in a prompt into a crash.
    name = encoding or "utf-8"
    return line.encode(name, "backslashreplace").decode(name)
