"""What the features stage writes down as a video's time, and what a plan makes of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests import fakes
from turbo_eval.backbones import Backbone, BackboneInfo, Features, Judges
from turbo_eval.backbones.protocol import ROLES
from turbo_eval.cli.main import run as command
from turbo_eval.core.records import Prompt, VideoRow
from turbo_eval.core.runs import RunFolder
from turbo_eval.features import FeatureItem, extract_features, plan_features
from turbo_eval.features import run as stage
from turbo_eval.features.plan import HELD, in_passes
from turbo_eval.video import clip_of
from turbo_eval.video.clip import Clip

Capture = pytest.CaptureFixture[str]
CLIP = clip_of(np.zeros((2, 8, 8, 3), np.uint8), 8)


class Clock:
    """Seconds that pass only when somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter


class Slow:
    """A backbone that takes a hundred seconds to load, once, and one to look."""

    def __init__(self, role: str, clock: Clock) -> None:
        self.role, self.clock, self.loaded = role, clock, False

    @property
    def info(self) -> BackboneInfo:
        return BackboneInfo(id=f"slow.{self.role}", role=self.role, version=1)

    def load(self) -> None:
        self.clock.now += 0 if self.loaded else 100
        self.loaded = True

    def extract(self, clip: Clip, prompt: Prompt) -> Features:
        self.clock.now += 1
        return {"x": np.zeros(1)}


def _video(number: int) -> VideoRow:
    return VideoRow(
        video_id=f"v{number}", prompt_id="p", model="m", fingerprint="f", seed=number,
        seed_index=number, sampler="s", steps=1, guidance=1.0, width=8, height=8, frames=2, fps=8.0,
        path=f"videos/v{number}.mp4", content_hash=CLIP.content_hash, seconds=0.0, status="ok",
    )  # fmt: skip


def test_loading_is_no_part_of_a_videos_time_and_decoding_is_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()

    def decode(path: Path) -> Clip:
        clock.now += 10
        return CLIP

    monkeypatch.setattr(stage, "time", clock)
    monkeypatch.setattr(stage, "decode", decode)
    parts: dict[str, Backbone] = {r: Slow(r, clock) for r in ("frame_features", "flow")}
    judges = Judges("slow", parts)
    run = RunFolder(tmp_path / "r")
    run.create_or_open({"a": 1})
    prompts = {"p": Prompt("p", "x", (), {}, "s", 0)}
    videos = [_video(0), _video(1)]
    plan = plan_features(videos, prompts, {"p": list(parts)}, judges, run)
    outcome = extract_features(plan, judges, run, quiet=True)
    assert (outcome.done, outcome.seconds) == (4, 24.0)
    rows = {(row["video_id"], row["backbone"]): row["seconds"] for row in run.features.read()}
    assert rows == {
        (f"v{n}", f"slow.{role}"): seconds
        for n in (0, 1)
        for role, seconds in (("frame_features", 11.0), ("flow", 1.0))
    }


class Hungry(Slow):
    """A backbone whose device runs full at chosen calls."""

    def __init__(self, full: set[int]) -> None:
        super().__init__("flow", Clock())
        self.full, self.calls = full, 0

    def extract(self, clip: Clip, prompt: Prompt) -> Features:
        self.calls += 1
        if self.calls - 1 in self.full:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return super().extract(clip, prompt)


@pytest.mark.parametrize(
    ("full", "retries", "done"),
    [({1}, 1, [True, True, True]), ({1, 2}, 1, [True, False, True]), ({0}, 0, [False, True, True])],
)
def test_a_device_that_runs_full_in_the_middle_costs_one_video_at_most(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    full: set[int],
    retries: int,
    done: list[bool],
) -> None:
    monkeypatch.setattr(stage, "decode", lambda _: CLIP)
    freed: list[int] = []
    hungry = Hungry(full)
    monkeypatch.setattr(stage, "free_memory", lambda: freed.append(hungry.calls))
    parts: dict[str, Backbone] = {"flow": hungry}
    judges = Judges("hungry", parts)
    run = RunFolder(tmp_path / "r")
    run.create_or_open({"a": 1})
    prompts = {"p": Prompt("p", "x", (), {}, "s", 0)}
    videos = [_video(number) for number in range(3)]
    plan = plan_features(videos, prompts, {"p": list(parts)}, judges, run)
    outcome = extract_features(plan, judges, run, retries=retries, quiet=True)
    assert freed == [call + 1 for call in sorted(full)], "memory is freed before each further try"
    rows = {row["video_id"]: row for row in run.features.read()}
    assert [rows[f"v{n}"]["status"] == "ok" for n in range(3)] == done
    assert outcome.done == sum(done)
    for failure in outcome.failures:
        assert failure.reason.startswith("out of memory while slow.flow looked at 2 frames of 8x8.")
        assert "type the same command again" in failure.reason
    # What was failed is looked at again by the next command, and nothing else.
    hungry.full = set()
    again = extract_features(
        plan_features(videos, prompts, {"p": list(parts)}, judges, run), judges, run, quiet=True
    )
    assert (again.done, again.failures) == (done.count(False), [])


class Held(Slow):
    """A backbone that tells when its weights come and go."""

    def __init__(self, role: str, story: list[str]) -> None:
        super().__init__(role, Clock())
        self.story = story

    def load(self) -> None:
        if not self.loaded:
            self.story.append(f"+{self.role}")
        self.loaded = True

    def extract(self, clip: Clip, prompt: Prompt) -> Features:
        assert self.loaded
        self.story.append(self.role)
        return super().extract(clip, prompt)

    def unload(self) -> None:
        self.loaded = False
        self.story.append(f"-{self.role}")


def test_networks_are_held_no_longer_than_videos_wait_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "decode", lambda _: CLIP)
    story: list[str] = []
    parts: dict[str, Backbone] = {r: Held(r, story) for r in ("frame_features", "flow", "scene")}
    judges = Judges("held", parts)
    run = RunFolder(tmp_path / "r")
    run.create_or_open({"a": 1})
    needs = {"v0": ["scene"], "v1": ["flow", "frame_features"], "v2": ["scene"], "v3": ["flow"]}
    plan = plan_features(
        [_video(number) for number in range(4)],
        {"p": Prompt("p", "x", (), {}, "s", 0)},
        lambda video: needs[video.video_id],
        judges,
        run,
    )
    outcome = extract_features(plan, judges, run, quiet=True)
    assert (outcome.done, outcome.failures) == (5, [])
    assert story == [
        "+frame_features", "frame_features", "+flow", "flow", "-frame_features", "flow", "-flow",
        "+scene", "scene", "scene", "-scene",
    ]  # fmt: skip


class Heavy(Held):
    """One with weights of a size."""

    def __init__(self, role: str, story: list[str], megabytes: float, device: str) -> None:
        super().__init__(role, story)
        self.megabytes, self.device = megabytes, device

    @property
    def info(self) -> BackboneInfo:
        return replace(super().info, megabytes=self.megabytes)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_large_networks_come_one_after_the_other_on_a_cpu(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []

    def decode(path: Path) -> Clip:
        decoded.append(path)
        return CLIP

    monkeypatch.setattr(stage, "decode", decode)
    story: list[str] = []
    sizes = {"frame_features": HELD - 1, "flow": 1.0, "action": 1.0, "scene": 2 * HELD}
    parts: dict[str, Backbone] = {
        role: Heavy(role, story, size, device) for role, size in sizes.items()
    }
    judges = Judges("heavy", parts)
    run = RunFolder(tmp_path / "r")
    run.create_or_open({"a": 1})
    videos, prompt = [_video(0), _video(1)], Prompt("p", "x", (), {}, "s", 0)
    plan = plan_features(videos, {"p": prompt}, {"p": list(sizes)}, judges, run)
    assert (plan.total, plan.count) == (8, 8)
    outcome = extract_features(plan, judges, run, quiet=True)
    assert (outcome.done, outcome.failures) == (8, [])
    most = held = 0.0
    for word in story:
        held += {"+": 1, "-": -1}.get(word[0], 0) * sizes.get(word[1:], 0.0)
        most = max(most, held)
    assert held == 0
    assert most == (2 * HELD if device == "cpu" else sum(sizes.values()))
    assert len(decoded) == len(videos) * (3 if device == "cpu" else 1)
    again = plan_features(videos, {"p": prompt}, {"p": list(sizes)}, judges, run)
    assert (again.count, again.total) == (0, 8)


@given(st.lists(st.floats(0, 9), min_size=1, max_size=len(ROLES)))
def test_passes_have_the_same_parts_in_the_same_order(sizes: list[float]) -> None:
    parts: dict[str, Backbone] = {
        role: Heavy(role, [], size, "cpu") for role, size in zip(ROLES, sizes, strict=False)
    }
    judges = Judges("heavy", parts)
    item = FeatureItem(_video(0), Prompt("p", "x", (), {}, "s", 0), dict.fromkeys(parts, "key"))
    found = [list(some.missing) for some in in_passes(item, judges, 10)]
    assert [role for some in found for role in some] == list(parts)
    for some in found:
        assert len(some) == 1 or sum(judges.infos[role].megabytes for role in some) <= 10


def test_a_plan_reckons_with_a_measured_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    fakes.register()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURBO_EVAL_JUDGES", "fake")
    fakes.write_suite(tmp_path)
    args = ["vbench:suite.json", "--model", "fake"]
    plan = ["plan", *args, "--run", "whole", "--json"]
    assert command(plan) == 0
    stages = {s["stage"]: s for s in json.loads(capsys.readouterr().out)["stages"]}
    assert stages["generate"]["seconds"] is None
    assert stages["features"]["seconds"] is None
    assert command(["run", *args, "--limit", "5", "--run", "sample"]) == 0
    capsys.readouterr()
    assert command([*plan, "--sample", "sample"]) == 0
    stages = {s["stage"]: s for s in json.loads(capsys.readouterr().out)["stages"]}
    # The suite is three times the same five kinds of prompts.
    sample = RunFolder("sample").open()
    assert stages["generate"]["missing"] == 15
    drawn = sum(row["seconds"] for row in sample.videos.read())
    assert stages["generate"]["seconds"] == pytest.approx(3 * drawn)
    looked = sum(row["seconds"] for row in sample.features.read())
    assert stages["features"]["seconds"] == pytest.approx(3 * looked)
    assert looked > 0
    assert not Path("whole").exists()
    assert command([*plan, "--sample", "nothing"]) == 4
    assert "nothing" in capsys.readouterr().err
