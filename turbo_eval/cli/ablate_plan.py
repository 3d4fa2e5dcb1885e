"""What an ablation is going to do and cost, before it does anything."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from turbo_eval.ablate import cost, trainer
from turbo_eval.ablate.grid import Row
from turbo_eval.ablate.spec import Ablation
from turbo_eval.ablate.speed import Speed, probe
from turbo_eval.ablate.trainer import Training
from turbo_eval.cli.say import say
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.core.progress import clock


def family(device: str) -> str:
    """The trainer's word for a device; it spreads over several by `accelerate launch`."""
    return device.partition(":")[0]


def count_prompts(ablation: Ablation) -> int:
    """How many prompts the evaluation has."""
    from turbo_eval.prompts import load

    suite = load(ablation.suite).select(
        dimensions=ablation.dimensions, ids=ablation.prompts, limit=ablation.limit
    )
    return len(suite)


def make_plan(
    ablation: Ablation,
    table: Sequence[Row],
    trainings: Sequence[Training],
    finished: Mapping[str, bool],
    *,
    threads: int | None,
    device: str,
    measure: bool,
) -> dict[str, Any]:
    """What is going to be trained, sampled and scored, and what that will cost."""
    facts = trainer.plans(trainings)
    missing = [t for t in trainings if not finished[t.variant.name]]

    def two_steps(training: Training) -> Speed:
        say(f"measuring two steps of {training.variant.name} (--no-measure leaves them out)")
        return probe(training, threads=threads, device=family(device))

    training = cost.training_costs(trainings, finished, measure=two_steps if measure else None)
    calls = network_calls_of(table, trainings)
    prompts = count_prompts(ablation)
    second = None
    if measure and missing:
        model = next((row.model for row in table if not row.variant), None)
        teacher = str(trainings[0].settings["teacher"])
        second = cost.second_of_a_call(model or teacher, device)
    drawing = cost.drawing_costs(table, calls, prompts * ablation.seeds, second)
    return {
        "training": [
            {
                **asdict(each),
                "config": told.variant.config,
                "settings": dict(told.variant.settings),
                "rewards": told.rewards,
                "clips": told.clips,
                "trained_parameters": fact["trained_parameters"],
                "memory_gib": round(
                    sum(fact[k] for k in ("weights_gib", "optimizer_gib", "activations_gib")), 2
                ),
            }
            for each, told, fact in zip(training, trainings, facts, strict=True)
        ],
        "sampling": [asdict(each) for each in drawing],
        "scoring": {
            "suite": ablation.suite,
            "prompts": prompts,
            "seeds": ablation.seeds,
            "judges": ablation.judges,
            "dimensions": ablation.dimensions,
            "rewards": ablation.rewards,
        },
        "training_seconds": cost.total(training),
        "sampling_seconds": cost.total(drawing),
        "not_counted": cost.NOT_COUNTED,
    }


def network_calls_of(table: Sequence[Row], trainings: Sequence[Training]) -> dict[str, int]:
    """Name of a row -> network calls for one video."""
    settings = {t.variant.name: t.settings for t in trainings}
    return {
        row.name: cost.network_calls(
            row, settings[row.variant.name] if row.variant else None, row.guidance
        )
        for row in table
    }


def show_plan(plan: Mapping[str, Any], *, as_json: bool) -> None:
    """The plan as tables, or as one JSON object."""
    if as_json:
        print_json(plan)
        return
    print_table(
        ["student", "configuration", "steps", "left", "clips", "rewards", "GiB", "estimate"],
        [
            [
                each["name"],
                each["config"],
                each["steps"],
                each["left"],
                each["clips"],
                ", ".join(f"{k} x {v:g}" for k, v in each["rewards"].items()),
                each["memory_gib"],
                "" if each["seconds"] is None else clock(each["seconds"]),
            ]
            for each in plan["training"]
        ],
    )
    print_table(
        ["row", "videos", "network calls each", "estimate"],
        [
            [
                each["name"],
                each["videos"],
                each["calls"],
                "" if each["seconds"] is None else clock(each["seconds"]),
            ]
            for each in plan["sampling"]
        ],
    )
    for line in _plan_lines(plan):
        say(line)


def tell_plan(plan: Mapping[str, Any]) -> None:
    """The plan as lines on stderr, before anything runs."""
    for each in plan["training"]:
        state = "finished" if not each["left"] else f"{each['left']} of {each['steps']} steps left"
        names = ", ".join(f"{k} x {v:g}" for k, v in each["rewards"].items()) or "no reward"
        say(f"train  {each['name']}: {each['config']}, {names}, {state}{_about(each)}")
    for each in plan["sampling"]:
        say(
            f"sample {each['name']}: {each['videos']} videos of {each['calls']} calls{_about(each)}"
        )
    for line in _plan_lines(plan):
        say(line)


def _about(each: Mapping[str, Any]) -> str:
    return f", about {clock(each['seconds'])}" if each["seconds"] else ""


def _plan_lines(plan: Mapping[str, Any]) -> list[str]:
    told = plan["scoring"]
    models = ", ".join(told["rewards"]) or "none"
    lines = [
        f"score  suite {told['suite']}, {told['prompts']} prompts, {told['seeds']} videos each, "
        f"judges {told['judges']}, reward models {models}",
        f"Run folder: {plan['run']}",
    ]
    bases = dict.fromkeys(each["basis"] for each in plan["training"] if each["left"])
    lines += [f"Estimate of training from: {basis}" for basis in bases]
    seconds = [plan["training_seconds"], plan["sampling_seconds"]]
    shown = ["not known" if s is None else clock(s) for s in seconds]
    lines.append(
        f"Estimate: training {shown[0]}, drawing at most {shown[1]}; not counted: "
        f"{plan['not_counted']}"
    )
    return lines
