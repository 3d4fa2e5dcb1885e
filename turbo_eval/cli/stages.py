"""The stages one after the other on an opened run; the commands only choose which."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from turbo_eval.analyze.summarize import SUITE_FILE, read_json
from turbo_eval.cli.plans import StagePlan
from turbo_eval.cli.protocol import MANY, long_notes
from turbo_eval.cli.say import say
from turbo_eval.cli.session import Session
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.core.errors import InputError
from turbo_eval.core.outcome import Outcome
from turbo_eval.core.progress import clock

STAGES = ("generate", "features", "score")


def do_stages(session: Session, stages: Sequence[str] = STAGES) -> list[Outcome]:
    """Do what is missing in each stage; a stage without work loads nothing.

    Args:
        session: The opened run.
        stages: Which, in order.

    Returns:
        The account of each stage.

    Raises:
        PrerequisiteError: The judges will look, and files of theirs are missing.
    """
    from turbo_eval.cli.official_checks import lacking_weights

    # Before hours go into videos that nobody could judge.
    if "features" in stages and (error := lacking_weights(session)):
        raise error
    outcomes = []
    for stage in stages:
        begun = time.perf_counter()
        # Whatever a model or a judge prints is no data of ours; stdout is for data alone.
        with contextlib.redirect_stdout(sys.stderr):
            outcome = _STAGES[stage](session)
        seconds = time.perf_counter() - begun
        outcomes.append(outcome)
        finished = outcome.total - outcome.cached - outcome.done - len(outcome.failures)
        if outcome.cached == outcome.total and not outcome.failures:
            say(f"{stage}: nothing to do, {outcome.total} finished")
        elif finished > 0:
            say(f"{stage}: {finished} wait for an earlier stage or for failed items")
        _keep_times(session, outcome, seconds)
    return outcomes


def _generate(session: Session) -> Outcome:
    from dataclasses import replace

    from turbo_eval.generate import generate_videos

    plan = session.plan_videos()
    for note in plan.notes:
        say(f"Note: {note}")
    if any(s.sampler is not None and plan.missing[s.label] for s in plan.sources):
        plan = replace(plan, sources=session.sources_on_device())
    outcome = generate_videos(
        plan, session.run, batch_size=session.config.batch_size, retries=session.config.retries
    )
    suite = read_json(session.run.path / SUITE_FILE).get("name", session.config.suite)
    for note in (*_mixed_sizes(session), *long_notes(session.videos(), suite)):
        say(f"Note: {note}")
    return outcome


def _mixed_sizes(session: Session) -> Iterator[str]:
    """Tell of existing videos of one model that differ in size or length."""
    existing = {source.label for source in session.sources if source.sampler is None}
    sizes: dict[str, Counter[str]] = {}
    for video in session.videos() if existing else ():
        if video.model in existing:
            shape = f"{video.width}x{video.height}, {video.frames or 'unknown'} frames"
            sizes.setdefault(video.model, Counter())[shape] += 1
    for label, found in sizes.items():
        if len(found) > 1:
            shown = "; ".join(f"{shape} ({count})" for shape, count in found.most_common(4))
            more = f" and {len(found) - 4} more" if len(found) > 4 else ""
            yield f"{label}: videos differ in size or length, so scores may, too: {shown}{more}"


def _features(session: Session) -> Outcome:
    from turbo_eval.features import FeaturePlan, extract_features

    videos = session.videos()
    plan = session.plan_features(videos)
    judges = session.judges_on_device() if plan.items else session.judges
    retries = session.config.retries
    outcome = extract_features(plan, judges, session.run, retries=retries)
    given_up = {(item.video.model, item.video.video_id) for item in plan.items}
    while session.config.static_filter and given_up:
        # What the static filter looks at next depends on what it has found.
        plan = session.plan_features(videos, given_up)
        # Videos looked at before and still missing something have failed; they are not tried again.
        items = [i for i in plan.items if (i.video.model, i.video.video_id) not in given_up]
        if not items:
            break
        plan = FeaturePlan(tuple(items), sum(len(i.missing) for i in items), ())
        more = extract_features(plan, judges, session.run, retries=retries)
        given_up |= {(item.video.model, item.video.video_id) for item in items}
        outcome.total += more.total
        outcome.done += more.done
        outcome.cached += more.cached
        outcome.seconds += more.seconds
        outcome.failures += more.failures
    return outcome


def _score(session: Session) -> Outcome:
    from turbo_eval.score import score_videos

    outcome = score_videos(session.plan_scores(session.videos()), session.judges, session.run)
    for note in _without_value(session):
        say(f"Note: {note}")
    return outcome


def _without_value(session: Session) -> Iterator[str]:
    """Tell of videos on which a metric says nothing, such as clips of one frame, and why."""
    ids = {(video.model, video.video_id) for video in session.videos()}
    keys = session.judges.keys
    reasons: dict[tuple[str, str], Counter[str]] = {}
    for row in session.run.scores.read():
        if row["status"] != "skipped" or row["judges"] not in keys:
            continue
        if (row["model"], row["video_id"]) in ids:
            name = row["metric"].removeprefix("vbench.")
            reasons.setdefault((row["model"], row["reason"]), Counter())[name] += 1
    for (label, reason), names in list(reasons.items())[:5]:
        counts = ", ".join(f"{name} ({count})" for name, count in names.items())
        yield f"{label}: videos without a value: {counts}: {reason}"
    if len(reasons) > 5:
        yield f"and for {len(reasons) - 5} more reasons, see the run's scores"


_STAGES = {"generate": _generate, "features": _features, "score": _score}


def _keep_times(session: Session, outcome: Outcome, seconds: float) -> None:
    """Write provenance when something was done, with the time inside and around the calls."""
    path = session.run.path / "provenance.json"
    worked = outcome.done + len(outcome.failures) > 0
    if path.is_file() and not worked:
        return
    before = read_json(path)
    times: dict[str, Any] = dict(before.get("seconds", {}))
    if worked:
        times[outcome.stage] = {
            "in_calls": round(outcome.seconds, 3),
            "whole": round(seconds, 3),
            "done": outcome.done,
        }
    models = {
        source.label: {
            "name": source.system.info.name,
            "weights": dict(source.system.info.weights),
            **({"notes": notes} if (notes := dict(source.system.info.notes)) else {}),
        }
        for source in session.sources
    }
    parts = {
        role: {"id": info.id, "version": info.version, "weights": info.weights}
        for role, info in session.judges.infos.items()
    }
    weights = session.config.weights_dir
    session.run.write_provenance(
        {
            "device": session.config.device,
            "models": models,
            "judges": parts,
            "seconds": times,
            "weights_dir": str(weights.resolve()) if weights else None,
        }
    )


def summarize_run(session: Session, *, keep: bool = True) -> dict[str, Any]:
    """Summarise the run.

    Args:
        session: The opened run.
        keep: Write the summary into the run folder.

    Returns:
        The object of `summary.json`.
    """
    from turbo_eval.analyze import summarize
    from turbo_eval.analyze.keep import keep_summary

    summary = summarize(session.run, weights_dir=session.config.weights_dir)
    return keep_summary(summary, session.run) if keep else summary.to_json()


def export_run(session: Session, out: Path, *, quiet: bool = False) -> list[Path]:
    """Write the scores of a run as VBench's own result files, and say where they lie.

    Args:
        session: The opened run.
        out: The folder.
        quiet: Say nothing.

    Returns:
        The result files.

    Raises:
        InputError: Nothing has been scored yet.
    """
    from turbo_eval.report.text import random_note
    from turbo_eval.report.vbench_run import collect_run, export_models, facts_of

    summary = summarize_run(session, keep=False)
    tables = collect_run(session.config, session.prompts, session.judges, session.run)
    facts = facts_of(session.config, session.judges, session.run, summary["partial"])
    written = export_models(tables, [s.label for s in session.sources], facts, out)
    if not written:
        raise InputError(
            f"run {session.run.path} has no score to export",
            why="no video has a value in any of VBench's dimensions",
            fix="mend what the notes and failures above tell of and type the same command again",
        )
    if quiet:
        return written
    say(f"VBench's result files: {len(written)} in {out}")
    if session.judges.name != "official":
        warning = random_note(session.judges.name) or "they are not VBench's"
        say(f"Note: judges {session.judges.name} made these scores; {warning}")
    for path in written:
        dimension, (value, _) = next(iter(read_json(path).items()))
        if value is None:
            say(f"Note: {dimension} has no value; the official program stops with an error there")
    return written


def write_page(session: Session, summary: Mapping[str, Any], out: Path | None = None) -> Path:
    """Write the report.

    Returns:
        Path of index.html.
    """
    from turbo_eval.report.clips import ClipEntry
    from turbo_eval.report.write import write_report
    from turbo_eval.score import current_videos

    values: dict[tuple[str, str], dict[str, float | None]] = {}
    keys = session.judges.keys
    for row in session.run.scores.read():
        if row["judges"] in keys:
            values.setdefault((row["model"], row["video_id"]), {})[row["metric"]] = row["value"]
    texts = session.by_id
    clips = [
        ClipEntry(
            model=video.model,
            prompt=texts[video.prompt_id].text,
            prompt_id=video.prompt_id,
            seed_index=video.seed_index,
            path=session.run.resolve(video.path) if video.status == "ok" else None,
            values=values.get((video.model, video.video_id), {}),
            fps=video.fps or 8.0,
            video_id=video.video_id,
            reason=video.reason,
        )
        for video in current_videos(session.run, session.prompts, session.config.seeds)
    ]
    return write_report(summary, clips, out or session.run.report_dir)


def print_plan(session: Session, plans: Sequence[StagePlan], *, as_json: bool) -> None:
    """Print what a run would do: settings, stages, and the time the rest takes if known."""
    models = [
        {
            "label": source.label,
            "name": source.system.info.name,
            "steps": source.sampler.steps if source.sampler else None,
            "guidance": source.sampler.guidance if source.sampler else None,
        }
        for source in session.sources
    ]
    if as_json:
        print_json(
            {
                "run": session.run.path,
                "suite": session.config.suite,
                "prompts": len(session.prompts),
                "seeds": session.config.seeds,
                "judges": session.judges.name,
                "rewards": session.config.rewards,
                "models": models,
                "stages": plans,
            }
        )
        return
    rewards = session.config.rewards
    say(
        f"Run {session.run.path}: suite {session.config.suite}, {len(session.prompts)} prompts, "
        f"{'all there are' if session.config.seeds >= MANY else session.config.seeds} per prompt, "
        f"judges {session.judges.name}" + (f", rewards {', '.join(rewards)}" if rewards else "")
    )
    print_table(
        ["model", "steps", "guidance"], [[m["label"], m["steps"], m["guidance"]] for m in models]
    )
    print_table(
        ["stage", "all", "finished", "missing", "estimate"],
        [
            [p.stage, p.total, p.cached, p.missing, "" if p.seconds is None else clock(p.seconds)]
            for p in plans
        ],
    )
    if any(p.seconds is None and p.missing for p in plans):
        say("No estimate (-) where nothing of that kind has run in this folder yet.")


def print_summary(summary: Mapping[str, Any]) -> None:
    """Print the values of a summary as a table: one row per metric, one column per model."""
    from turbo_eval.report.text import random_note

    models = list(summary["models"])
    names = list(dict.fromkeys(name for table in summary["models"].values() for name in table))
    rows: list[list[str]] = []
    for name in names:
        cells = [summary["models"][model].get(name) for model in models]
        rows.append([name, *(_cell(cell) for cell in cells)])
    for name in ("quality", "semantic", "total"):
        cells = [summary["totals"].get(model, {}).get(name) for model in models]
        if any(cells):
            label = "partial " if summary["partial"] else ""
            rows.append([f"{label}{summary['judges']} {name}", *(_cell(cell) for cell in cells)])
    print_table(["metric", *models], rows)
    if warning := random_note(summary["judges"]):
        say(f"Judges {summary['judges']}: {warning}")
    for reason in summary["partial"]:
        say(f"Partial: {reason}")


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None or cell["value"] is None:
        return ""
    ends = "" if cell["low"] is None else f" [{cell['low']:.4f}, {cell['high']:.4f}]"
    counts = f" {cell['n']}/{cell['of']}" if "n" in cell else ""
    return f"{cell['value']:.4f}{ends}{counts}"
