"""A tiny fast model and a set of judges without networks, added the way a plug-in adds its own.

`TURBO_EVAL_PLUGINS=tests.fakes:register` makes them known, also to child processes.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from turbo_eval.backbones import REGISTRY as JUDGES
from turbo_eval.backbones import ROLES, Backbone, BackboneInfo, Features, Judges
from turbo_eval.backbones.pixels import Pixels
from turbo_eval.cli.main import main
from turbo_eval.core.records import Prompt, pack_text
from turbo_eval.models import REGISTRY as MODELS
from turbo_eval.models import Frames, ModelInfo, Sampler, TextToVideo
from turbo_eval.video.clip import Clip

SUITE: list[dict[str, Any]] = [
    {
        "prompt_en": f"{kind} {i}",
        "dimension": dimensions,
        "auxiliary_info": auxiliary,
    }
    for i in range(3)
    for kind, dimensions, auxiliary in [
        (
            "a red cube",
            ["object_class", "color", "overall_consistency"],
            {"object_class": {"object": "cube"}, "color": {"color": "red"}},
        ),
        (
            "a cube left of a ball",
            ["multiple_objects", "spatial_relationship"],
            {
                "multiple_objects": {"object": "cube and ball"},
                "spatial_relationship": {
                    "spatial_relationship": {
                        "object_a": "cube",
                        "object_b": "ball",
                        "relationship": "on the left of",
                    }
                },
            },
        ),
        ("a person is running", ["human_action", "temporal_style"], {}),
        (
            "an alley",
            ["scene", "background_consistency", "temporal_flickering"],
            {"scene": {"scene": {"scene": "alley"}}},
        ),
        (
            "a cat in pixel art",
            [
                "appearance_style",
                "subject_consistency",
                "motion_smoothness",
                "dynamic_degree",
                "aesthetic_quality",
                "imaging_quality",
            ],
            {"appearance_style": {"appearance_style": "pixel art"}},
        ),
    ]
]


def log(line: str) -> None:
    """Append a line to the call log, whole even when several processes write."""
    path = os.environ.get("FAKE_LOG")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {line}\n")


class FakeModel:
    """Noise clips that depend on prompt, seed and sampler only."""

    def __init__(self, name: str = "fake", most: int = 100, bad: str = "") -> None:
        self.name, self.most, self.bad = name, most, bad

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            name=self.name, width=32, height=32, frames=5, fps=8, steps=50, guidance=7.5
        )

    def fingerprint(self) -> str:
        return f"{self.name}-1"

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        if len(prompts) > self.most:
            raise MemoryError("too many at once")
        if self.bad and any(self.bad in prompt for prompt in prompts):
            raise ValueError("a clip that cannot be drawn")
        time.sleep(float(os.environ.get("FAKE_DELAY", "0")))
        for prompt, seed in zip(prompts, seeds, strict=True):
            log(f"draw {self.name}@{sampler.steps} {seed} {prompt}")
        clips = []
        for seed in seeds:
            rng = np.random.default_rng([seed, sampler.steps])
            base = rng.integers(0, 255, (1, 32, 32, 3))
            shift = rng.integers(-20, 20, (5, 1, 1, 3))
            clips.append(np.clip(base + shift, 0, 255))
        return np.asarray(clips, dtype=np.uint8)


class FakeBackbone:
    """Arrays of the right shapes made from the pixels."""

    def __init__(self, role: str) -> None:
        self.role = role

    @property
    def info(self) -> BackboneInfo:
        return BackboneInfo(id=f"fake.{self.role}", role=self.role, version=1, weights="0")

    def extract(self, clip: Clip, prompt: Prompt) -> Features:
        time.sleep(float(os.environ.get("FAKE_DELAY", "0")) / 10)
        log(f"look {self.role} {clip.content_hash} {prompt.text}")
        t = len(clip.frames)
        level = clip.frames.mean(axis=(1, 2)).astype(np.float32) / 255
        unit = float(level.mean())
        rng = np.random.default_rng(int(clip.content_hash, 16))
        boxes = [{"boxes": [[0, 0, 8, 8], [16, 0, 24, 8]], "labels": ["cube", "ball"]}] * 16
        caption = str(rng.choice(["a red cube", "a blue cube"]))
        noun = prompt.text.removeprefix("a red ")
        captions = [{"labels": [noun], "captions": [caption]}] * 16
        table: dict[str, Features] = {
            "frame_features": {"features": level + 0.1},
            "image_text": {
                "features": level + 0.1,
                "style_features": level + 0.1,
                "style_text": np.ones(3, np.float32),
                "logit_scale": np.array(100.0, np.float32),
            },
            "aesthetic": {"scores": 10 * level[:, 0]},
            "image_quality": {"scores": 100 * level[:, 0]},
            "flow": {
                "dynamic": rng.uniform(0, 12, t - 1),
                "static": rng.uniform(0, 3, t - 1),
                "static_wrap": rng.uniform(0, 3, 2),
                "size": np.array([32, 32]),
                "kept": np.array(t),
            },
            "interpolation": {"mae": np.array([5.0 * unit, 6.0])},
            "action": {
                "scores": np.array([0.9, 0.5, 0.4, 0.3, 0.2], np.float32),
                "labels": pack_text(["running", "walking", "a", "b", "c"]),
            },
            "detector": {"objects": pack_text(boxes), "captions": pack_text(captions)},
            "scene": {"captions": pack_text([str(rng.choice(["an alley", "a park"]))] * 16)},
            "video_text": {
                "video": level[0],
                "text": np.array([0.5, 0.2, 0.1], np.float32),
            },
        }
        return table[self.role]


def fake_model(name: str, *, weights_dir: Path | None, device: str, dtype: str) -> TextToVideo:
    """The factory of the registry."""
    return {
        "fake": FakeModel(),
        "fake-small-memory": FakeModel(most=3),
        "fake-broken": FakeModel("fake-broken", bad="alley 1"),
    }[name]


def fake_judges(*, device: str = "cpu", weights_dir: Path | None = None) -> Judges:
    """Judges that fill every part."""
    parts: dict[str, Backbone] = {role: FakeBackbone(role) for role in ROLES}
    parts["pixels"] = Pixels()
    return Judges("fake", parts)


def register() -> None:
    """Add the model and the judges; a second call changes nothing."""
    for name in ("fake", "fake-small-memory", "fake-broken"):
        if name not in MODELS:
            MODELS.add(name, fake_model)
    if "fake" not in JUDGES:
        JUDGES.add("fake", fake_judges)


def write_suite(folder: Path, prompts: int | None = None) -> Path:
    """Write the suite as a prompt file and return its path."""
    path = folder / "suite.json"
    path.write_text(json.dumps(SUITE[:prompts]), encoding="utf-8")
    return path


def command(args: list[str], folder: Path, log_file: str, delay: float) -> None:
    """Run `turbo-eval` in this process, which exists for nothing else; errors go to a file."""
    os.chdir(folder)
    os.environ |= {
        "TURBO_EVAL_PLUGINS": "tests.fakes:register",
        "FAKE_LOG": str(folder / log_file),
        "FAKE_DELAY": str(delay),
    }
    errors = os.open(folder / "errors.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    main(args)
