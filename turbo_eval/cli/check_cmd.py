"""`turbo-eval check`: are the videos of a run, or of a folder, complete and whole?"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from turbo_eval.cli import options as o
from turbo_eval.cli.protocol import with_protocol
from turbo_eval.cli.say import say
from turbo_eval.cli.session import Session, reopen
from turbo_eval.cli.show import print_json, print_table
from turbo_eval.config import ModelConfig, RunConfig
from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.core.records import Prompt
from turbo_eval.generate import Source
from turbo_eval.generate.plan import LONG, lacking, videos_of
from turbo_eval.models.folder import PREFIX, FolderVideos, Match
from turbo_eval.prompts import Suite, load
from turbo_eval.prompts.dimensions import dimension

Folder = Annotated[
    Path | None,
    typer.Argument(metavar="PATH", help="Folder of videos, or a CSV with path,prompt,index."),
]
SuiteName = Annotated[
    str | None, typer.Option("--suite", help="Prompts of the folder: vbench, vbench:FILE, ...")
]
MaybeRun = Annotated[
    Path | None, typer.Option("--run", help="Run folder.", envvar="TURBO_EVAL_RUN")
]
COMPARING = {
    "subject_consistency": 2,
    "background_consistency": 2,
    "temporal_flickering": 2,
    "motion_smoothness": 3,
    "dynamic_degree": 2,
}
"""Dimensions that compare frames with each other -> frames they need; the official program fails
on fewer."""
Shape = tuple[str, int, int, int]
"""Label of the model, frames, width, height."""


def check(
    folder: Folder = None,
    suite: SuiteName = None,
    seeds: o.Seeds = None,
    allow_fewer: o.AllowFewer = None,
    dimensions: o.Dimensions = None,
    static_filter: o.StaticFilter = None,
    run_folder: MaybeRun = None,
    as_json: o.AsJson = False,
) -> None:
    """Check that videos are complete and whole, by decoding every one; exit code 5 if not.

    Of a folder, before any run: what is missing, there twice, undecodable, or of another length or
    size than the rest. Of a run: that its videos are as they were made.

    Example: turbo-eval check clips --suite vbench
    """
    if folder is not None:
        if suite is None:
            raise UsageError(
                "no prompts named for the folder", fix=f"add --suite vbench to {folder}"
            )
        asked: dict[str, Any] = {"seeds": seeds, "allow_fewer": allow_fewer}
        asked |= {"dimensions": o.flags(dimensions=dimensions).get("dimensions")}
        asked |= {"static_filter": static_filter}
        _check_folder(folder, suite, asked, as_json=as_json)
    elif run_folder is not None:
        _check_run(reopen(run_folder), run_folder, as_json=as_json)
    else:
        raise UsageError(
            "nothing named to check", fix="turbo-eval check PATH --suite vbench, or --run FOLDER"
        )


def _check_run(session: Session, run_folder: Path, *, as_json: bool) -> None:
    plan = session.plan_videos()
    problems: list[dict[str, str]] = [
        _problem(item.label, item.prompt.text, "missing or changed")
        for items in plan.missing.values()
        for item in items
    ]
    missing = {(i.label, i.video_id) for items in plan.missing.values() for i in items}
    texts = session.by_id
    there = [
        (video.model, texts[video.prompt_id].text, session.run.resolve(video.path))
        for video in session.videos()
        if (video.model, video.video_id) not in missing
    ]
    shapes = _shapes(there, problems)
    _tell({"run": run_folder}, plan.notes, Counter(shapes.values()), problems, as_json=as_json)
    if problems:
        raise InputError(
            f"{len(problems)} of {plan.total} videos of {run_folder} are not whole",
            why=problems[0]["problem"].partition(". Fix: ")[0],
            fix="run `turbo-eval generate` with the same settings, or replace the files",
        )


def _check_folder(folder: Path, name: str, asked: Mapping[str, Any], *, as_json: bool) -> None:
    videos = FolderVideos.open(f"{PREFIX}{folder}")
    suite = load(name)
    texts = {prompt.id: prompt.text for prompt in suite}
    files = {file: texts[key] for file, key in suite.info.get("files", {}).items()}
    videos = videos.named(files) if files else videos
    config = _folder_config(folder, suite, videos, asked)
    prompts = suite.select(dimensions=config.dimensions).prompts
    videos = videos.beside({p.text for p in suite} - {p.text for p in prompts})
    counts = {prompt.id: videos_of(prompt, config) for prompt in prompts}
    match = videos.match(prompts, counts, fewer=config.allow_fewer)
    label = folder.name or str(folder)
    problems = list(_match_problems(label, match, lacking(match, config)))
    there = [(label, found.prompt.text, found.path) for found in match.found]
    shapes = _shapes(there, problems)
    problems += _odd_shapes(label, there, shapes)
    asked_for = {name for prompt in prompts for name in prompt.dimensions}
    notes = [*suite.notes, *match.notes(), *_long(there), *_short(shapes, asked_for)]
    _tell({"folder": folder}, notes, Counter(shapes.values()), problems, as_json=as_json)
    if problems:
        kinds = Counter(problem["kind"] for problem in problems)
        only_twice = kinds.keys() == {"duplicate"}
        raise InputError(
            f"folder {folder} is not ready for suite {suite.name}",
            why=", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
            fix="remove the files that repeat others; a run takes the others"
            if only_twice
            else "make or replace the files named above, or score what is there with --allow-fewer",
        )


def _folder_config(
    folder: Path, suite: Suite, videos: FolderVideos, asked: Mapping[str, Any]
) -> RunConfig:
    given = {key: value for key, value in asked.items() if value is not None}
    if "dimensions" in given:
        given["dimensions"] = [dimension(name) for name in given["dimensions"]]
    config = RunConfig(models=[ModelConfig(name=f"{PREFIX}{folder}")], **given)
    origins = {key: "flag" if key in given else "default" for key in RunConfig.model_fields}
    return with_protocol(config, origins, suite, [Source(folder.name, videos, None)])


def _match_problems(
    label: str, match: Match, missing: Sequence[tuple[Prompt, int]]
) -> Iterator[dict[str, str]]:
    for prompt, index in missing:
        yield _problem(label, prompt.text, f"video {index} is missing", "missing")
    for kept, extra in match.duplicates:
        text = next(found.prompt.text for found in match.found if found.path == kept)
        yield _problem(label, text, f"{extra.name} repeats {kept.name}", "duplicate")


def _shapes(
    there: Sequence[tuple[str, str, Path]], problems: list[dict[str, str]]
) -> dict[Path, Shape]:
    """Decode every video; what cannot be decoded becomes a problem."""
    from turbo_eval.video.apart import shape_apart

    found: dict[Path, Shape] = {}
    for label, text, path in there:
        try:
            frames, height, width, _ = shape_apart(path)
        except InputError as error:
            problems.append(_problem(label, text, str(error), "undecodable"))
        else:
            found[path] = (label, frames, width, height)
    return found


def _odd_shapes(
    label: str, there: Sequence[tuple[str, str, Path]], shapes: Mapping[Path, Shape]
) -> Iterator[dict[str, str]]:
    """Name videos of another length or size than most: a model makes all of its videos alike."""
    if not shapes:
        return
    usual, count = Counter(shapes.values()).most_common(1)[0]
    # Without a clear majority nobody can say which ones are wrong; the table shows them all.
    if count * 2 <= len(shapes):
        return
    for _, text, path in there:
        shape = shapes.get(path, usual)
        if shape != usual:
            _, frames, width, height = shape
            yield _problem(
                label,
                text,
                f"{path.name} has {frames} frames of {width}x{height}, most have {usual[1]} of "
                f"{usual[2]}x{usual[3]}",
                "of another length or size",
            )


def _long(there: Sequence[tuple[str, str, Path]]) -> Iterator[str]:
    from turbo_eval.video.apart import probe_apart

    long = []
    for _, _, path in there:
        try:
            seconds = probe_apart(path).seconds or 0.0
        except InputError:
            # Told already as undecodable.
            continue
        if seconds >= LONG:
            long.append(path.name)
    if long:
        yield (
            f"{len(long)} videos last {LONG:g} s or more, which VBench-Long is meant for: "
            f"{', '.join(long[:5])}"
        )


def _short(shapes: Mapping[Path, Shape], asked: Collection[str]) -> Iterator[str]:
    """Tell of clips of too few frames for dimensions that compare frames."""
    for count in (1, 2):
        short = [path.name for path, (_, frames, _, _) in shapes.items() if frames == count]
        lacking: dict[int, list[str]] = {}
        for name, needed in COMPARING.items():
            if name in asked and needed > count:
                lacking.setdefault(needed, []).append(name)
        if short and lacking:
            need = " and ".join(f"{', '.join(names)} need {n}" for n, names in lacking.items())
            yield f"{len(short)} videos have {count} frames, but {need}: {', '.join(short[:5])}"


def _problem(label: str, text: str, problem: str, kind: str = "") -> dict[str, str]:
    return {"model": label, "prompt": text, "problem": problem, **({"kind": kind} if kind else {})}


def _tell(
    what: Mapping[str, Path],
    notes: Sequence[str],
    sizes: Mapping[Shape, int],
    problems: Sequence[Mapping[str, str]],
    *,
    as_json: bool,
) -> None:
    shapes = [
        {"model": model, "frames": frames, "width": width, "height": height, "videos": count}
        for (model, frames, width, height), count in sorted(sizes.items())
    ]
    if as_json:
        print_json({**what, "notes": notes, "videos": shapes, "problems": problems})
        return
    print_table(["model", "frames", "width", "height", "videos"], [[*s.values()] for s in shapes])
    for problem in problems[:20]:
        say("{model}, {prompt!r}: {problem}".format(**problem))
    if len(problems) > 20:
        say(f"... and {len(problems) - 20} more; --json lists all")
    for note in notes:
        say(f"Note: {note}")
