"""Names of rewards and mixes as users type them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from turbo_eval.core.errors import UsageError
from turbo_eval.core.registry import Registry
from turbo_eval.metrics import rewards
from turbo_eval.metrics.rewards import load as load_reward
from turbo_eval.metrics.rewards import load_mix, parse_mix

OURS = {"clip", "hpsv2.1", "internvideo2", "mini-image", "mini-video", "pickscore", "viclip"}


def test_names() -> None:
    assert set(rewards.reward_names()) >= OURS


@pytest.mark.parametrize(("typed", "near"), [("hpsv2", "hpsv2.1"), ("mini-vidoe", "mini-video")])
def test_an_unknown_name_suggests_the_nearest(typed: str, near: str) -> None:
    with pytest.raises(UsageError, match=near):
        load_reward(typed)
    with pytest.raises(UsageError, match=near):
        parse_mix(f"{typed}=2")


def test_a_mix_is_read_in_order() -> None:
    text = " hpsv2.1=1, mini-video = 0.5,mini-image"
    assert list(parse_mix(text).items()) == [
        ("hpsv2.1", 1.0), ("mini-video", 0.5), ("mini-image", 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", ",", "mini-image=", "mini-image=x", "mini-image=nan", "mini-image=1,mini-image=2"]
)
def test_a_mix_without_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_mix(text)


def test_a_mix_of_both_minis() -> None:
    mix = load_mix("mini-image=1,mini-video=0.5")
    assert [(r.info.id, r.info.kind, s) for r, s in mix.parts] == [
        ("mini-image", "image", 1.0), ("mini-video", "video", 0.5),
    ]  # fmt: skip
    assert load_mix({"mini-image": 2}).parts[0][1] == 2.0


def test_other_packages_add_rewards_by_the_plugin_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package's function `load` hides the module of the same name.
    module = sys.modules["turbo_eval.metrics.rewards.load"]
    monkeypatch.setattr(module, "REGISTRY", Registry("reward"))
    (tmp_path / "reward_plugin.py").write_text(
        "def make(name, **settings):\n"
        "    return name, settings\n"
        "def register():\n"
        "    from turbo_eval.metrics.rewards.load import REGISTRY\n"
        "    REGISTRY.add('plugged', make)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TURBO_EVAL_PLUGINS", "reward_plugin:register")
    found: Any = load_reward("plugged", weights_dir="w", dtype="bfloat16")
    assert found == ("plugged", {"weights_dir": Path("w"), "device": "cpu", "dtype": "bfloat16"})


def test_names_and_facts_import_no_tensor_library() -> None:
    code = (
        "import sys\n"
        "from turbo_eval.metrics import rewards\n"
        "rewards.reward_names(); rewards.parse_mix('hpsv2.1=1,mini-video=0.5')\n"
        "assert 'torch' not in sys.modules and 'open_clip' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
