"""The shipped mini rewards: what they prefer on held-out clips, and that their files are theirs."""

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.core.hashing import file_sha256
from turbo_eval.metrics.rewards import Reward, load, score_clips
from turbo_eval.metrics.rewards.mini import DESCRIPTIONS, networks, weights
from turbo_eval.metrics.rewards.mini.reward import MiniReward
from turbo_train.world.captions import caption
from turbo_train.world.judges.corrupt import corrupt
from turbo_train.world.rewards.captions import full, variants
from turbo_train.world.stream import item

NAMES = sorted(DESCRIPTIONS)
# Other held-out clips than those that the cards were measured on.
SEED, CLIPS = 691, 48


@cache
def clips() -> tuple[Tensor, list[str], list[list[str]]]:
    """Clips in 0..1, their captions, and for each some captions that are false in one fact."""
    scenes = [item(SEED, k, held=True).scene for k in range(CLIPS)]
    shown = np.stack([item(SEED, k, held=True).clip() for k in range(CLIPS)])
    said = [full(scene, still=True) for scene in scenes]
    true = [caption(scene, s) for scene, s in zip(scenes, said, strict=True)]
    false = []
    for k, (scene, s) in enumerate(zip(scenes, said, strict=True)):
        facts = ["scene", "style", "shape"] + ["color"] * (scene.style != "black and white")
        false.append([caption(o[k % len(o)], s) for o in (variants(scene, fact) for fact in facts)])
    return torch.from_numpy(shown).movedim(-1, -3).float() / 255, true, false


@pytest.fixture(scope="module", params=NAMES)
def reward(request: pytest.FixtureRequest) -> Reward:
    return load(request.param)


def test_card_and_manifest_belong_to_the_weights() -> None:
    total = 0
    for name in NAMES:
        card = json.loads((weights.folder() / f"{name}.card.json").read_text(encoding="utf-8"))
        path = weights.folder() / card["file"]
        assert card["sha256"] == file_sha256(path) == weights.entry(name).sha256
        assert card["training"]["loss"][-1][0] == card["training"]["steps"]
        assert "/work" not in json.dumps(card)
        total += path.stat().st_size
    assert total < 3_000_000


def test_facts(reward: Reward) -> None:
    assert isinstance(reward, Reward)
    assert reward.info.size == 64
    assert reward.info.frames == {"image": None, "video": 8}[reward.info.kind]
    assert reward.info.licence == "Apache-2.0"


@torch.no_grad()
def test_true_captions_score_above_false_ones(reward: Reward) -> None:
    shown, true, false = clips()
    good = score_clips(reward, shown, true)
    wins = n = 0
    for k, wrong in enumerate(false):
        bad = score_clips(reward, shown[k : k + 1].expand(len(wrong), -1, -1, -1, -1), wrong)
        wins += int((bad < good[k]).sum())
        n += len(wrong)
    assert n > 150
    assert wins / n > 0.8


@torch.no_grad()
@pytest.mark.parametrize("fault", ["noise", "blur"])
def test_clean_clips_score_above_spoiled_ones(reward: Reward, fault: str) -> None:
    _, true, _ = clips()
    items = [item(SEED, k, held=True) for k in range(CLIPS)]
    by_level = []
    for level in range(4):
        spoiled = np.stack(
            [corrupt(fault, one.scene, one.clip(), level, k) for k, one in enumerate(items)]
        )
        shown = torch.from_numpy(spoiled).movedim(-1, -3).float() / 255
        by_level.append(score_clips(reward, shown, true))
    means = [float(level.mean()) for level in by_level]
    assert means == sorted(means, reverse=True)
    # The one weak pair: the video reward trades noise for shapes and actions (see its card).
    least = 0.8 if (reward.info.id, fault) == ("mini-video", "noise") else 0.9
    assert float((by_level[3] < by_level[0]).float().mean()) > least


def test_gradient_reaches_the_pixels_of_every_frame(reward: Reward) -> None:
    shown, true, _ = clips()
    frames = shown[:2].clone().requires_grad_()
    score_clips(reward, frames, true[:2]).sum().backward()
    assert frames.grad is not None
    assert bool(torch.isfinite(frames.grad).all())
    assert bool((frames.grad.abs().amax((2, 3, 4)) > 0).all())
    assert isinstance(reward, MiniReward)
    assert not reward.network.training
    assert all(p.grad is None and not p.requires_grad for p in reward.network.parameters())


def test_a_metrics_look_leaves_the_reward_fit_for_a_loss(reward: Reward) -> None:
    fresh = MiniReward(reward.info.id)
    frames = clips()[0][:1].clone()
    with torch.inference_mode():
        before = score_clips(fresh, frames, ["a red star"])
    after = score_clips(fresh, frames.requires_grad_(), ["a red star"])
    after.sum().backward()
    torch.testing.assert_close(after.detach(), before.clone())


def test_a_step_along_the_gradient_raises_the_score(reward: Reward) -> None:
    shown, true, _ = clips()
    frames = shown[:4].clone().requires_grad_()
    before = score_clips(reward, frames, true[:4])
    (gradient,) = torch.autograd.grad(before.sum(), frames)
    step = 0.002 * gradient / gradient.flatten(1).norm(dim=1)[:, None, None, None, None]
    after = score_clips(reward, frames + step, true[:4])
    assert bool((after > before).all())


def test_preprocessing_maps_to_the_networks_range() -> None:
    reward = load("mini-image")
    frames = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(reward.preprocess(frames), frames * 2 - 1)
    grey = reward.preprocess(torch.full((1, 3, 128, 96), 0.75))
    torch.testing.assert_close(grey, torch.full((1, 3, 64, 64), 0.5))


def test_a_prompts_features_do_not_depend_on_its_neighbours(reward: Reward) -> None:
    assert isinstance(reward, MiniReward)
    texts = ["a star", "A red star on the left of a blue moon, spinning in a city, neon style", "?"]
    together = MiniReward(reward.info.id).read(texts)
    alone = torch.cat([MiniReward(reward.info.id).read([text]) for text in texts])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_short_clips_and_nan_are_refused() -> None:
    with pytest.raises(InputError, match="too short"):
        load("mini-video").score(torch.rand(1, 4, 3, 64, 64), ["a star"])
    with pytest.raises(InputError, match="'mini-image'.*NaN"):
        load("mini-image").score(torch.full((1, 3, 64, 64), float("nan")), ["a star"])


def test_missing_and_damaged_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="turbo-train world rewards --only mini-image"):
        MiniReward("mini-image", where=tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(weights.folder(), copy)
    path = copy / "mini-image.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01\x02")
    with pytest.raises(PrerequisiteError, match="sha256"):
        MiniReward("mini-image", where=copy).read(["a star"])
    path.unlink()
    with pytest.raises(PrerequisiteError, match="is missing"):
        MiniReward("mini-image", where=copy).read(["a star"])


def test_another_list_of_words_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(weights.folder(), copy)
    (copy / "words.json").write_text('{"format": 1, "words": ["star"]}', encoding="utf-8")
    with pytest.raises(PrerequisiteError, match="words"):
        MiniReward("mini-video", where=copy).read(["a star"])


def test_the_networks_are_not_the_judges() -> None:
    from turbo_eval.backbones.mini import image_text, video_text

    mine = {type(m) for m in networks.MiniVideo(["star"]).modules()}
    mine |= {type(m) for m in networks.MiniImage(["star"]).modules()}
    theirs = {type(m) for m in video_text.VideoText(["star"]).modules()}
    theirs |= {type(m) for m in image_text.ImageText(["star"]).modules()}
    shared = {kind.__module__ for kind in mine & theirs}
    assert all(name.startswith("torch.") for name in shared)
    assert torch.nn.GRU in mine - theirs
