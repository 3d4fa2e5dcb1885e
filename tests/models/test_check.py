"""`check_model`: a good system passes, each broken promise is found by its own line."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests import fakes
from turbo_eval.models import Frames, ModelInfo, Sampler, TextToVideo
from turbo_eval.models.check import Trial, check_model


class Good(fakes.FakeModel):
    """Draws noise that belongs to the seed."""

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        info = self.info
        shape = (info.frames, info.height, info.width, 3)
        return np.stack(
            [np.random.default_rng(s).integers(0, 256, shape, dtype=np.uint8) for s in seeds]
        )


class Batch(Good):
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        return super().generate(prompts, [s + len(seeds) for s in seeds], sampler)


class Forgetful(Good):
    calls = 0

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        self.calls += 1
        return super().generate(prompts, [s + self.calls // 3 for s in seeds], sampler)


class Seedless(Good):
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        return super().generate(prompts, [0 for _ in seeds], sampler)


class Floats(Good):
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        return super().generate(prompts, seeds, sampler) / 255  # type: ignore[return-value]


class Unscaled(Good):
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        found: Frames = super().generate(prompts, seeds, sampler) // 128
        return found


class Black(Good):
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        return super().generate(prompts, seeds, sampler) * np.uint8(0)


class Short(Good):
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        return super().generate(prompts, seeds, sampler)[:, 1:]


class Flat(Good):
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        found: Frames = super().generate(prompts, seeds, sampler)[0]
        return found


class Broken(Good):
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        raise RuntimeError("no\nluck")


class NewKey(Good):
    def fingerprint(self) -> str:
        return str(id(self))


class NoSteps(Good):
    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            name="x", width=8, height=8, frames=2, fps=0, steps=0, guidance=1, licence=""
        )


def trials(kind: type[TextToVideo]) -> dict[str, Trial]:
    kept: list[TextToVideo] = []

    def opened() -> TextToVideo:
        # Two objects of one id would have one key by chance.
        kept.append(kind())
        return kept[-1]

    return {trial.name: trial for trial in check_model(opened)}


def test_a_good_system_passes() -> None:
    found = trials(Good)
    assert [name for name, trial in found.items() if trial.state == "wrong"] == []
    assert list(found) == [
        "loads", "facts", "licence", "key", "draws clips", "shape", "frames and size", "range",
        "repeats by seed", "seeds differ", "batch",
    ]  # fmt: skip
    assert found["batch"].found == "the same to the bit"


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (Batch, "batch", "batch it is drawn in"),
        (Forgetful, "repeats by seed", "another clip"),
        (Seedless, "seeds differ", "the same clip"),
        (Floats, "shape", "float64"),
        (Unscaled, "range", "not scaled"),
        (Black, "range", "every pixel is 0"),
        (Short, "frames and size", "info tells 5"),
        (Flat, "shape", "for two clips"),
        (Broken, "draws clips", "RuntimeError: no luck"),
        (NewKey, "key", "two objects"),
        (NoSteps, "facts", "0 steps, 0 frames a second"),
    ],
)
def test_each_broken_promise_is_found(kind: type[TextToVideo], name: str, said: str) -> None:
    trial = trials(kind)[name]
    assert trial.state == "wrong"
    assert said in trial.found


def test_what_cannot_be_opened_is_told() -> None:
    def refuse() -> TextToVideo:
        raise OSError("gone")

    assert [(t.name, t.state, t.found) for t in check_model(refuse)] == [
        ("loads", "wrong", "OSError: gone")
    ]


def test_a_missing_licence_is_a_warning() -> None:
    assert trials(NoSteps)["licence"].state == "warning"
