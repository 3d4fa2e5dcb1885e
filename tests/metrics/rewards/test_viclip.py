"""ViCLIP as a reward, on a small random network in the official file format."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from turbo_eval.backbones.official.files import file_of
from turbo_eval.backbones.official.viclip import tokens
from turbo_eval.backbones.official.viclip_network import Sizes, ViCLIP
from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError
from turbo_eval.core.records import Prompt
from turbo_eval.metrics.rewards import Reward, load
from turbo_eval.metrics.rewards.backbone import RewardBackbone
from turbo_eval.metrics.rewards.preprocess import IMAGENET_MEAN, IMAGENET_STD
from turbo_eval.metrics.rewards.viclip import ViclipReward
from turbo_eval.video.clip import Clip
from turbo_train.rewards import video_score

SIZES = Sizes(
    size=28, width=32, layers=2, heads=2, text_width=24, text_layers=2, text_heads=2, out=12
)
PROMPTS = ["A red star, spinning", "two cats on a roof"]


def written(folder: Path) -> tuple[ViclipReward, ViCLIP]:
    """The reward of a file, and the network that was written into it."""
    torch.manual_seed(3)
    network = ViCLIP(SIZES).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    path = folder / file_of("viclip").file
    torch.save({"model": network.state_dict()}, path)
    return ViclipReward(path, sizes=SIZES), network


def test_the_score_is_the_cosine_behind_the_middle_window(tmp_path: Path) -> None:
    reward, network = written(tmp_path)
    clips = torch.rand(2, 16, 3, 28, 40)
    chosen = clips[:, ::2, :, :, 6:34]  # 12 columns of room; frames need no resizing.
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        seen = network.vision_encoder((chosen - mean) / std)
        said = network.text_encoder(tokens(PROMPTS))
    assert isinstance(reward, Reward)
    score = reward.score(clips, PROMPTS)
    torch.testing.assert_close(score, F.cosine_similarity(seen, said), rtol=1e-5, atol=1e-6)
    assert abs(float(score[0] - score[1])) > 1e-3


def test_the_gradient_stays_inside_the_window_and_on_the_frames_looked_at(tmp_path: Path) -> None:
    reward, _ = written(tmp_path)
    clips = torch.rand(1, 16, 3, 28, 40, requires_grad=True)
    reward.score_through(clips, PROMPTS[:1], (0, 3)).sum().backward()
    assert clips.grad is not None
    touched = clips.grad.abs().sum((0, 2, 3)) > 0  # [16, 40]
    assert touched[::2, 3:31].all()
    assert int(touched.sum()) == 8 * 28
    assert all(p.grad is None for p in reward.network.parameters())


@given(st.integers(28, 90), st.integers(28, 90), st.integers(0, 99))
def test_windows_are_inside_and_reach_both_ends(height: int, width: int, seed: int) -> None:
    reward = ViclipReward(Path("never-read"), sizes=SIZES)
    down, right = reward.room(height, width)
    assert min(down, right) == 0
    top, left = reward.draw_window(height, width, torch.Generator().manual_seed(seed))
    assert 0 <= top <= down
    assert 0 <= left <= right


def test_training_draws_the_window_and_a_metric_does_not(tmp_path: Path) -> None:
    reward, _ = written(tmp_path)
    clips = torch.rand(1, 8, 3, 28, 60)
    drawn = {
        round(float(video_score(reward, clips, PROMPTS[:1], torch.Generator().manual_seed(k))), 6)
        for k in range(8)
    }
    assert len(drawn) > 4
    still = {float(reward.score(clips, PROMPTS[:1])) for _ in range(2)}
    assert len(still) == 1


def test_as_a_metric_it_looks_once_at_a_clip(tmp_path: Path) -> None:
    import numpy as np

    reward, _ = written(tmp_path)
    frames = np.random.default_rng(0).integers(0, 256, (10, 28, 40, 3), np.uint8)
    prompt = Prompt("a", PROMPTS[0], ("color",), {}, "s", 0)
    found = RewardBackbone(reward).extract(Clip(frames, 8.0, "hash"), prompt)
    assert found["scores"].shape == (1,)
    assert -1 <= float(found["scores"][0]) <= 1


def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reward, _ = written(tmp_path)
    with pytest.raises(InputError, match="too short"):
        reward.score(torch.rand(1, 7, 3, 28, 28), PROMPTS[:1])
    with pytest.raises(InputError, match="inside"):
        reward.score_through(torch.rand(1, 8, 3, 28, 28), PROMPTS[:1], (0, 1))
    with pytest.raises(UsageError, match="float9"):
        ViclipReward(tmp_path / "x", dtype="float9")
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)
    with pytest.raises(PrerequisiteError, match=r"ViClip-InternVid-10M-FLT\.pth"):
        load("viclip")
    # A file of another size names what does not fit.
    with pytest.raises(PrerequisiteError, match="vision_encoder"):
        ViclipReward(tmp_path / file_of("viclip").file).score(
            torch.rand(1, 8, 3, 28, 28), PROMPTS[:1]
        )
