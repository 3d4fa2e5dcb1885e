"""The `turbo-eval` command: its table of sub-commands and the root options."""

from typing import Annotated, ClassVar

import typer

import turbo_eval
from turbo_eval.cli.lazy import LazyCommand, LazyGroup

RUN = "Run"
STAGES = "Stages, in order"
LOOK = "Look up"
SETUP = "Set-up"

COMMANDS: dict[str, LazyCommand] = {
    "run": LazyCommand(
        "turbo_eval.cli.run_cmd:run", "Do every stage that is missing and write the report.", RUN
    ),
    "demo": LazyCommand(
        "turbo_eval.cli.run_cmd:demo", "Compare the shipped models on a small suite.", RUN
    ),
    "plan": LazyCommand(
        "turbo_eval.cli.run_cmd:plan", "Show what a run would do, and what is there already.", RUN
    ),
    "ablate": LazyCommand(
        "turbo_eval.cli.ablate_cmd:ablate",
        "Train a grid of students and tabulate their differences.",
        RUN,
    ),
    "train": LazyCommand(
        "turbo_eval.cli.train_cmd:train",
        "Run turbo-train with the given arguments.",
        RUN,
        {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    ),
    "generate": LazyCommand(
        "turbo_eval.cli.stage_cmds:generate", "Make the missing videos of a run.", STAGES
    ),
    "check": LazyCommand(
        "turbo_eval.cli.check_cmd:check",
        "Check that videos of a run or folder are whole and complete.",
        STAGES,
    ),
    "features": LazyCommand(
        "turbo_eval.cli.stage_cmds:features", "Run the judges' networks on the videos.", STAGES
    ),
    "score": LazyCommand(
        "turbo_eval.cli.stage_cmds:score", "Compute the missing scores from the features.", STAGES
    ),
    "summarize": LazyCommand(
        "turbo_eval.cli.stage_cmds:summarize", "Means, intervals and totals of a run.", STAGES
    ),
    "report": LazyCommand(
        "turbo_eval.cli.report_cmd:app",
        "Write the page and the tables of a run; pack a submission.",
        STAGES,
    ),
    "table": LazyCommand(
        "turbo_eval.cli.table_cmd:table", "Show a run beside published VBench figures.", LOOK
    ),
    "list": LazyCommand(
        "turbo_eval.cli.list_cmd:list_names", "List models, suites, metrics or judges.", LOOK
    ),
    "describe": LazyCommand(
        "turbo_eval.cli.list_cmd:describe", "Everything known about one model, suite, metric.", LOOK
    ),
    "prompts": LazyCommand(
        "turbo_eval.cli.prompts_cmd:app", "List, show, sync and check prompt suites.", LOOK
    ),
    "models": LazyCommand(
        "turbo_eval.cli.models_cmd:app",
        "Check a text-to-video system, pull a pipeline, list classes.",
        SETUP,
    ),
    "config": LazyCommand(
        "turbo_eval.cli.config_cmd:app",
        "Show the settings of a run and where they come from.",
        SETUP,
    ),
    "weights": LazyCommand(
        "turbo_eval.cli.weights_cmd:app",
        "Official weights: list, pull, verify, where, random.",
        SETUP,
    ),
    "verify": LazyCommand(
        "turbo_eval.cli.verify_cmd:app",
        "Compare our numbers with the official programs'.",
        SETUP,
    ),
    "doctor": LazyCommand(
        "turbo_eval.cli.doctor_cmd:doctor", "Check that this machine is ready, with fixes.", SETUP
    ),
}


class RootGroup(LazyGroup):
    """The sub-commands of `turbo-eval`."""

    table: ClassVar = COMMANDS


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"turbo-eval {turbo_eval.__version__}")
        raise typer.Exit


app = typer.Typer(
    name="turbo-eval",
    cls=RootGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: turbo-eval demo. Settings: turbo-eval config show --origin.",
)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001 (its callback has acted already)
        bool,
        typer.Option(
            "--version", help="Show the version and leave.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Evaluate text-to-video models: prompts in, scores with intervals and a page out."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
