import pytest

from tests import fakes
from turbo_eval.config import ModelConfig
from turbo_eval.core.errors import UsageError
from turbo_eval.models import Sampler, labels, load, sampler_of


def test_unknown_model_suggests_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="mini-teacher"):
        load("mini-techer")


def test_a_folder_draws_nothing() -> None:
    with pytest.raises(UsageError, match="draws no clips"):
        load("folder:somewhere")


def test_plug_ins_add_models() -> None:
    fakes.register()
    assert load("fake").info.frames == 5


def test_labels_are_short_distinct_and_safe() -> None:
    configs = [
        ModelConfig(name="fake"),
        ModelConfig(name="fake", steps=8, guidance=4.0),
        ModelConfig(name="folder:a/clips"),
        ModelConfig(name="folder:b/clips"),
        ModelConfig(name="folder:b/my list.csv"),
    ]
    assert labels(configs) == ["fake", "fake@8-g4", "clips", "clips-2", "my_list"]
    with pytest.raises(UsageError, match="twice"):
        labels([configs[0], configs[0]])


def test_labels_of_families_leave_folders_out() -> None:
    configs = [
        ModelConfig(name="diffusers:weights/wan:frames=17", steps=8),
        ModelConfig(name="diffusers:weights/sd:motion_adapter=weights/fast_4step.safetensors"),
        ModelConfig(name="command:python tools/draw.py --x:fps=8"),
    ]
    assert labels(configs) == [
        "wan-frames-17@8",
        "sd-motion_adapter-fast_4step",
        "draw.py-fps-8",
    ]


def test_settings_reach_a_model_that_takes_them() -> None:
    fakes.register()
    with pytest.raises(UsageError, match="fake takes no settings.*frames"):
        load("fake:frames=3")
    with pytest.raises(UsageError, match="unknown model 'diffuser:x'"):
        load("diffuser:x")


def test_sampler_fills_in_the_models_own_settings() -> None:
    info = fakes.FakeModel().info
    assert sampler_of(ModelConfig(name="fake"), info) == Sampler(steps=50, guidance=7.5)
    assert sampler_of(ModelConfig(name="fake", steps=4), info).key == "native:4:7.5"


@pytest.mark.parametrize(("steps", "guidance"), [(0, 1.0), (1, -1.0), (1, float("nan"))])
def test_impossible_samplers_are_refused(steps: int, guidance: float) -> None:
    with pytest.raises(UsageError):
        Sampler(steps=steps, guidance=guidance)
