"""Write the reference pages from what is live: command line, metrics, settings.

Usage: python docs/generate.py          write the pages
       python docs/generate.py --check  exit 1 and name the pages that are out of date
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup
from typer.main import get_command

from turbo_eval.cli.app import COMMANDS, app
from turbo_eval.config import RunConfig, environment_name
from turbo_eval.config.resolve import OTHER_VARIABLES
from turbo_eval.metrics.normalise import VBENCH_BOUNDS, WEIGHTS
from turbo_eval.metrics.registry import all_metrics
from turbo_eval.models.mini import PACKAGED, read_card

if TYPE_CHECKING:
    # Annotations only: Typer keeps click's classes in a private module.
    from typer._click import Command, Context

DOCS = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/generate.py from the code; change the code and run `make docs`. -->"


def main(args: list[str]) -> int:
    """Write or check the pages.

    Args:
        args: `--check` or nothing.

    Returns:
        The exit code: 0, 1 for stale pages, 2 for wrong usage.
    """
    if args not in ([], ["--check"]):
        print(f"unknown arguments {args}: give --check or nothing", file=sys.stderr)
        return 2
    stale = []
    for name, text in pages().items():
        path = DOCS / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if args:
            stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"docs: wrote docs/{name}", file=sys.stderr)
    if stale:
        print(f"docs: out of date: {', '.join(stale)}. Fix: make docs", file=sys.stderr)
    return 1 if stale else 0


def pages() -> dict[str, str]:
    """Name and text of every generated page."""
    made = {
        "cli.md": cli_page(),
        "metrics.md": metrics_page(),
        "environment.md": settings_page(),
        "mini-teacher.md": teacher_page(),
    }
    return {name: "\n".join([NOTE, "", *lines]) + "\n" for name, lines in made.items()}


def cli_page() -> list[str]:
    """One section for each command, with its arguments and options."""
    lines = ["# Command line", "", "Data goes to stdout, everything else to stderr."]
    lines += ["Exit codes: [exit-codes.md](exit-codes.md).", ""]
    root = get_command(app)
    parent = root.make_context("turbo-eval", [], resilient_parsing=True)
    panel = ""
    for name, entry in COMMANDS.items():
        if entry.panel != panel:
            panel = entry.panel
            lines += [f"## {panel}", ""]
        lines += _command(entry.load(name), name, parent, depth=3)
    return lines[:-1]


def _command(command: "Command", name: str, parent: "Context", depth: int) -> Iterator[str]:
    context = type(parent)(command, info_name=name, parent=parent)
    yield f"{'#' * depth} {context.command_path}"
    yield ""
    yield _sentence(command.help)
    yield ""
    rows = [
        record
        for param in command.get_params(context)
        if (record := param.get_help_record(context)) is not None and param.name != "help"
    ]
    if rows:
        yield from _table(["argument or option", "meaning"], [[f"`{a}`", b] for a, b in rows])
        yield ""
    if command.epilog:
        yield _sentence(command.epilog)
        yield ""
    if isinstance(command, TyperGroup):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            if found is not None and not found.hidden:
                yield from _command(found, each, context, depth + 1)


def metrics_page() -> list[str]:
    """The facts of every registered metric, and VBench's normalisation."""
    lines = [
        "# Metrics",
        "",
        "A value is the sum of numerators over the sum of denominators of the videos that count.",
        "VBench's bounds and weights belong to VBench's own networks; the mini judges bring their",
        "own table, and a mini score is never a VBench score.",
        "",
    ]
    rows = []
    for metric in all_metrics():
        info = metric.info
        rows.append(
            [
                f"`{info.id}`",
                str(info.version),
                info.group,
                f"{info.low:g} to {info.high:g}",
                "higher" if info.higher_is_better else "lower",
                ", ".join(info.roles),
                ", ".join(info.needs) or "-",
                info.description,
                info.quirks or "-",
            ]
        )
    headers = ["id", "version", "group", "range", "better", "judges' parts", "needs"]
    lines += _table([*headers, "what it says", "what the official program does besides"], rows)
    lines += ["", "## VBench's normalisation", ""]
    bounds = [
        [f"`{name}`", f"{low:g}", f"{high:g}", f"{WEIGHTS[name]:g}"]
        for name, (low, high) in VBENCH_BOUNDS.items()
    ]
    return lines + list(_table(["dimension", "minimum", "maximum", "weight"], bounds))


def settings_page() -> list[str]:
    """Every setting: key in the file, environment variable, default, meaning."""
    lines = [
        "# Settings and environment variables",
        "",
        "A flag wins over an environment variable, that over the TOML file (`--config FILE`,",
        "`TURBO_EVAL_CONFIG`, or `turbo-eval.toml` in the current folder), that over the default.",
        "Lists in variables are separated by commas. `turbo-eval config show --origin` shows the",
        "merged values and where each comes from. Unknown keys and variables are refused.",
        "",
    ]
    rows = [
        [f"`{key}`", f"`{environment_name(key)}`", _default(field), field.description or ""]
        for key, field in RunConfig.model_fields.items()
    ]
    lines += _table(["key", "variable", "default", "meaning"], rows)
    lines += ["", "Variables that are no setting of a run:", ""]
    others = [[f"`{name}`", meaning] for name, meaning in OTHER_VARIABLES.items()]
    others.append(["`NO_COLOR`", "Set to anything: no colour in the output."])
    return lines + list(_table(["variable", "meaning"], others))


def teacher_page() -> list[str]:
    """The card of the shipped mini teacher as a page."""
    card = read_card(PACKAGED)
    info, measured = card["info"], card["measured"]
    lines = [
        "# The mini teacher",
        "",
        f"{card['description']} Licence {info['licence']}.",
        f"Clips of {info['frames']} frames of {info['width']} x {info['height']} pixels at "
        f"{info['fps']:g} a second; {info['steps']} DDIM steps with guidance {info['guidance']:g}.",
        "",
        "## What it draws",
        "",
    ]
    if measured:
        lines += [
            f"Clips of {measured['prompts']} held-out prompts (stream {measured['seed']}), "
            f"{measured['steps']} steps, guidance {measured['guidance']:g}, read by the mini "
            "judges (`turbo-train world measure --save`); 95% intervals are Wilson's.",
            "",
            *_table(
                ["stated fact", "found", "95% interval", "n"],
                [
                    [
                        name,
                        f"{one['value']:.3f}",
                        f"{one['low']:.3f} to {one['high']:.3f}",
                        str(one["n"]),
                    ]
                    for name, one in measured.items()
                    if isinstance(one, dict)
                ],
            ),
        ]
    lines += ["", "## How it was trained", ""]
    for part, record in card["training"].items():
        size = card["parameters"].get({"text": "text_encoder", "teacher": "unet"}.get(part, part))
        lines += [
            f"**{part}**" + (f", {size:,} parameters" if size else "") + f": `{record['command']}`",
            "",
            f"{record['data']}. {record['steps']} steps, seed {record['seed']}, "
            f"{record['seconds']:.0f} s on {record['device']}.",
            *([record["note"]] if "note" in record else []),
            "",
        ]
        curve = record["loss"]
        chosen = curve[:: max(1, len(curve) // 8)]
        lines += [
            *_table(
                ["step", *(str(step) for step, _ in chosen)],
                [["loss", *(f"{value:.3f}" for _, value in chosen)]],
            ),
            "",
        ]
    return lines


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    return "-" if value is None or value == [] else f"`{value}`"


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())


def _table(headers: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headers)} |"
    yield f"|{'---|' * len(headers)}"
    for row in rows:
        # A bar inside a cell would end it.
        yield "| " + " | ".join(_sentence(cell).replace("|", "\\|") for cell in row) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
