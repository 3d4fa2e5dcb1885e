"""Rewards of a run folder: which ones it has, and keys that leave the judges' own alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from turbo_eval.backbones import BackboneInfo, Judges, load_judges, require
from turbo_eval.config import RunConfig
from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError
from turbo_eval.core.records import Prompt
from turbo_eval.core.runs import RunFolder
from turbo_eval.metrics.rewards.backbone import RewardBackbone
from turbo_eval.metrics.rewards.metric import part
from turbo_eval.score.plan import metrics_for
from turbo_eval.score.rewards import (
    REWARDS_FILE,
    asked,
    keep_rewards,
    reward_name,
    rewards_of,
    with_rewards,
)
from turbo_eval.video.clip import Clip

PROMPT = Prompt("p", "a red circle", ("color",), {}, "mini", 0)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "r").create_or_open(RunConfig().identity())


@pytest.fixture
def judges() -> Judges:
    return load_judges("mini")


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "VBENCH_CACHE_DIR", "TURBO_EVAL_WEIGHTS_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


def test_names_with_and_without_the_prefix() -> None:
    assert reward_name(" reward.mini-image ") == reward_name("mini-image") == "mini-image"
    config = RunConfig(rewards=["mini-video"], dimensions=["color", "reward.mini-image"])
    assert asked(config) == ["mini-video", "mini-image"]
    with pytest.raises(UsageError, match="mini-image"):
        asked(RunConfig(rewards=["mini-imag"]))


def test_a_reward_serves_every_prompt_after_its_dimensions() -> None:
    ids = [m.info.id for m in metrics_for(PROMPT, None, rewards=["mini-image"])]
    assert ids == ["vbench.color", "reward.mini-image"]
    assert [m.info.id for m in metrics_for(PROMPT, ["scene"], rewards=["mini-image"])] == ids[1:]


def test_no_key_of_the_judges_changes(run: RunFolder, judges: Judges) -> None:
    one = with_rewards(judges, ["mini-image"], run)
    two = with_rewards(judges, ["mini-image", "mini-video"], run)
    assert one.key == two.key == judges.key
    image, video = part("mini-image"), part("mini-video")
    assert one.key_of([image]) == two.key_of([image]) != two.key_of([video])
    assert two.key_of(["flow", "pixels"]) == judges.key
    assert two.keys == {judges.key, two.key_of([image]), two.key_of([video])}
    assert [*two.infos][-2:] == [image, video]
    assert isinstance(require(two, video), RewardBackbone)
    with pytest.raises(UsageError, match="have no reward:mini-video"):
        require(one, video)


def test_other_weights_of_a_reward_have_another_key(run: RunFolder, judges: Judges) -> None:
    both = with_rewards(judges, ["mini-image"], run)
    role = part("mini-image")

    class Other(RewardBackbone):
        @property
        def info(self) -> BackboneInfo:
            return replace(super().info, weights="another")

    backbone = both.beside[role]
    assert isinstance(backbone, RewardBackbone)
    other = replace(judges, beside={role: Other(backbone.reward)})
    assert other.key_of([role]) != both.key_of([role])
    assert other.key == both.key


def test_a_folder_keeps_its_rewards_and_takes_more(run: RunFolder, judges: Judges) -> None:
    assert rewards_of(RunConfig(), run) == []
    keep_rewards(run, judges)
    assert not (run.path / REWARDS_FILE).exists()
    keep_rewards(run, with_rewards(judges, ["mini-video"], run))
    keep_rewards(run, with_rewards(judges, ["mini-image"], run))
    assert rewards_of(RunConfig(), run) == ["mini-video", "mini-image"]
    assert rewards_of(RunConfig(rewards=["clip"]), run) == ["mini-video", "mini-image", "clip"]
    # Rewards are no setting that a folder is started with.
    run.check(RunConfig(rewards=["mini-video"]).identity())


@pytest.mark.parametrize("text", ["{", "[]", '{"clip": 1}', '{"clip": {"version": 1}}'])
def test_a_damaged_list_is_one_line(run: RunFolder, text: str) -> None:
    (run.path / REWARDS_FILE).write_text(text)
    with pytest.raises(InputError, match="rewards.json cannot be read"):
        rewards_of(RunConfig(), run)


@pytest.mark.usefixtures("no_weights")
def test_a_new_reward_without_weights_is_refused_at_once(run: RunFolder, judges: Judges) -> None:
    with pytest.raises(PrerequisiteError, match=r"HPS_v2.1_compressed.pt \(2.0 GB\)"):
        with_rewards(judges, ["hpsv2.1"], run, needed=["hpsv2.1"])


@pytest.mark.usefixtures("no_weights")
def test_a_known_reward_without_weights_keeps_its_key(run: RunFolder, judges: Judges) -> None:
    (run.path / REWARDS_FILE).write_text('{"hpsv2.1": {"version": 1, "weights": "w"}}')
    there = with_rewards(judges, ["hpsv2.1"], run)
    role = part("hpsv2.1")
    info = there.infos[role]
    assert (info.id, info.version, info.weights) == ("reward.hpsv2.1", 1, "w")
    clip: Clip = None  # type: ignore[assignment]
    with pytest.raises(PrerequisiteError, match=r"HPS_v2.1_compressed.pt \(2.0 GB\)"):
        require(there, role).extract(clip, PROMPT)
    # One that is typed again has to be there.
    with pytest.raises(PrerequisiteError):
        with_rewards(judges, ["hpsv2.1"], run, needed=["hpsv2.1"])
