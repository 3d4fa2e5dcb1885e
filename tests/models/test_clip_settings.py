"""frames, size, fps and a negative prompt, of the systems that pipelines with a UNet draw."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.tiny_vc2 import CONTEXT, unet
from turbo_eval.cli.main import run
from turbo_eval.core.errors import UsageError
from turbo_eval.core.hashing import blake
from turbo_eval.models import Sampler, load
from turbo_eval.models.clip_settings import asked, clip_content, negative_prompt
from turbo_eval.models.load import known_settings
from turbo_eval.models.protocol import ModelInfo
from turbo_eval.models.settings import Settings
from turbo_eval.models.student import MANIFEST, WEIGHTS
from turbo_eval.models.videocrafter import tell_frame_rate

ONE = Sampler(steps=1, guidance=5.0)
PROMPT = ["a red circle moving left on a beach"]
NAMES = ["mini-teacher", "mini-turbo"]


@pytest.fixture
def rewarded(tmp_path: Path) -> Path:
    """A student that samples as its teacher does, with guidance (as reward baselines do)."""
    folder = tmp_path / "rewarded"
    shutil.copytree(WEIGHTS / "mini-turbo", folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sampling"] = {"kind": "ddim"}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_clips_are_what_was_asked_for(name: str) -> None:
    system = load(f"{name}:size=32x48,frames=3,fps=12")
    assert (system.info.width, system.info.height, system.info.frames) == (32, 48, 3)
    assert system.info.fps == 12
    pair = system.generate(PROMPT * 2, [1, 2], ONE)
    assert pair.shape == (2, 3, 48, 32, 3)
    assert pair.std() > 5
    alone = system.generate(PROMPT, [2], ONE)
    assert np.abs(pair[1].astype(int) - alone[0]).max() <= 1


def test_keys_follow_them_and_plain_names_keep_theirs(rewarded: Path) -> None:
    for name in (*NAMES, str(rewarded)):
        plain = load(name).fingerprint()
        marks = {
            load(f"{name}:{said}").fingerprint()
            for said in ("size=32x32", "frames=3", "fps=4", "tiling=yes")
        }
        assert len(marks | {plain}) == 5
    assert clip_content(Settings("m", {"fps": "4", "offload": "yes"})) == {"fps": "4"}
    # Clips that were drawn before there were such settings are found again.
    system = load("mini-teacher")
    former = ["mini-teacher", sorted(system.info.weights.items()), "float32"]
    assert system.fingerprint() == blake(json.dumps(former).encode())


def test_a_negative_prompt_goes_where_there_is_guidance(rewarded: Path) -> None:
    small = "size=32x32,frames=2"
    for name in ("mini-teacher", str(rewarded)):
        assert "negative" in (known_settings(name) or ())
        usual = load(f"{name}:{small}").generate(PROMPT, [1], ONE)
        steered = load(f"{name}:{small},negative=a beach")
        assert (steered.generate(PROMPT, [1], ONE) != usual).any()
        with pytest.raises(UsageError, match=r"no guidance.*--guidance above 1"):
            steered.generate(PROMPT, [1], Sampler(steps=1, guidance=1.0))
    assert "negative" not in (known_settings("mini-turbo") or ())
    with pytest.raises(UsageError, match="negative"):
        load("mini-turbo:negative=a beach")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("size=60x64", "mini-teacher.*8 x 8 pixels.*multiples of 8"),
        ("size=64", "WIDTHxHEIGHT"),
        ("frames=0", "whole number"),
        ("frames=2.5", "whole number"),
        ("fps=-8", "above 0"),
        ("framse=8", "did you mean frames"),
    ],
)
def test_what_cannot_be_is_refused_before_weights_are_read(said: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load(f"mini-teacher:{said}")


def test_a_size_of_0_means_the_networks_own() -> None:
    info = ModelInfo(name="m", width=0, height=0, frames=8, fps=8, steps=4, guidance=1)
    assert asked(info, Settings("m", {})) == info
    assert asked(info, Settings("m", {"size": "64x32"})).height == 32
    assert negative_prompt(Settings("m", {}), guided=False) == ""


def test_a_frame_rate_reaches_a_network_that_asks_for_it() -> None:
    torch.manual_seed(0)
    network = unet()
    inputs = (torch.randn(1, 4, 2, 8, 8), torch.tensor([9]), torch.randn(1, 5, CONTEXT))
    with torch.no_grad():
        usual, slow = network(*inputs).sample, network(*inputs, fps=8).sample
        tell_frame_rate(network, 8)
        assert torch.equal(network(*inputs).sample, slow)
        # What a caller says itself goes first.
        assert torch.equal(network(*inputs, fps=16).sample, usual)
    assert not torch.equal(usual, slow)
    other = torch.nn.Linear(2, 2)
    tell_frame_rate(other, 8)
    assert other(torch.zeros(1, 2)).shape == (1, 2)


def test_typed_options_reach_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from turbo_eval.video.read import decode

    typed = [
        "generate", "mini", "--model", "mini-turbo@1", "--limit", "1", "--seeds", "1",
        "--size", "32x48", "--frames", "3", "--fps", "5", "--run", str(tmp_path / "r"),
    ]  # fmt: skip
    assert run(typed) == 0
    (path,) = tmp_path.rglob("*.mp4")
    clip = decode(path)
    assert (clip.frames.shape, round(clip.fps)) == ((3, 48, 32, 3), 5)
    capsys.readouterr()
    assert run([*typed[:-1], str(tmp_path / "s"), "--negative", "dull"]) == 2
    assert "model mini-turbo takes no --negative" in capsys.readouterr().err
