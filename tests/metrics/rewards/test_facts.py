"""What is known of rewards without their weights, and that the rewards themselves agree."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from turbo_eval.core.errors import PrerequisiteError, UsageError
from turbo_eval.metrics import rewards
from turbo_eval.metrics.registry import all_metrics, metric, metric_names, registry
from turbo_eval.metrics.rewards.facts import facts
from turbo_eval.metrics.rewards.files import SOURCES
from turbo_eval.metrics.rewards.load import REGISTRY
from turbo_eval.metrics.rewards.mini.networks import SIZE

OTHERS = [*SOURCES, "imagereward", "viclip", "internvideo2"]


@pytest.mark.parametrize("name", ["mini-image", "mini-video"])
def test_the_minis_agree_with_their_facts(name: str) -> None:
    assert replace(rewards.load(name).info, weights={}) == facts(name)
    assert facts(name).size == SIZE


@pytest.mark.parametrize("name", OTHERS)
def test_the_official_ones_agree_with_their_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TURBO_EVAL_HOME", str(tmp_path / "home"))
    for file in (
        "ImageReward.pt",
        "InternVideo2-stage2_1b-224p-f4.pt",
        "ViClip-InternVid-10M-FLT.pth",
        "bert-base-uncased/vocab.txt",
        *(source.files[0] for source in SOURCES.values()),
    ):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(file.encode())
    info = rewards.load(name, weights_dir=tmp_path).info
    assert info.weights
    assert replace(info, weights={}) == facts(name)


def test_every_reward_is_a_metric_outside_the_totals() -> None:
    named = [m for m in all_metrics() if m.info.group == "reward"]
    assert [m.info.id for m in named] == [f"reward.{name}" for name in rewards.reward_names()]
    assert metric_names()[-len(named) :] == [m.info.id for m in named]
    for m in named:
        assert m.info.roles == (f"reward:{m.info.id.removeprefix('reward.')}",)
        assert m.info.description
        assert m.info.id not in registry
    assert metric("reward.hpsv2.1").info.dimension == "hpsv2.1"


def test_an_unknown_one_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="mini-video"):
        metric("reward.mini-vidoe")


def test_one_of_another_package_without_weights_is_still_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def make(name: str, **settings: object) -> rewards.Reward:
        raise PrerequisiteError(f"no weights of {name}")

    monkeypatch.setattr(REGISTRY, "_entries", dict(REGISTRY._entries))
    REGISTRY.add("theirs", make)
    monkeypatch.delitem(REGISTRY._loaded, "theirs", raising=False)
    assert metric("reward.theirs").info.description == "The reward theirs."


def test_lists_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from turbo_eval.metrics.registry import all_metrics\n"
        "assert any(m.info.id == 'reward.hpsv2.1' for m in all_metrics())\n"
        "assert not {'torch', 'open_clip', 'timm', 'av'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
