"""The mini world from nothing in a few steps: every recipe, resumed, exported, and drawing."""

from pathlib import Path

import pytest
import torch

from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.models.mini import MiniTextToVideo, read_card
from turbo_eval.models.protocol import Sampler
from turbo_train.cli import main
from turbo_train.world import recipes, teacher, vae

SETTINGS = teacher.Settings(pool=16, image_steps=1, mixed_steps=0, video_steps=1, seed=3)


def _quiet(_line: str) -> None:
    pass


@pytest.mark.slow
def test_from_nothing_to_a_clip(tmp_path: Path) -> None:
    lines: list[str] = []
    recipes.run_vae(tmp_path, steps=2, say=_quiet)
    recipes.run_decoder(tmp_path, steps=1, say=_quiet)
    recipes.run_text(tmp_path, steps=2, say=_quiet)
    recipes.run_teacher(tmp_path, settings=SETTINGS, say=_quiet)
    # A finished recipe is not trained again.
    recipes.run_teacher(tmp_path, settings=SETTINGS, say=lines.append)
    assert "resumed at step 2 of 2" in lines
    out = tmp_path / "out"
    recipes.run_export(tmp_path, out)
    card = read_card(out)
    assert [record["steps"] for record in card["training"].values()] == [2, 1, 2, 2]
    system = MiniTextToVideo("mini-teacher", out, device="cpu", dtype="float32")
    clips = system.generate(["a red star"], [1], Sampler(steps=1, guidance=1.0))
    assert clips.shape == (1, 8, 64, 64, 3)


def test_a_recipe_out_of_order_says_what_to_type_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PrerequisiteError, match="turbo-train world text"):
        recipes.run_teacher(tmp_path, settings=SETTINGS, say=_quiet)
    with pytest.raises(SystemExit) as left:
        main(["world", "export", "--folder", str(tmp_path)])
    assert left.value.code == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_the_autoencoder_starts_as_a_blur_in_colour() -> None:
    """The start keeps colour: a red and a blue picture stay apart in the untrained latents."""
    torch.manual_seed(0)
    model = vae.build()
    red = torch.zeros(1, 3, 64, 64) - 1
    red[:, 0] = 1
    blue = torch.zeros(1, 3, 64, 64) - 1
    blue[:, 2] = 1
    both = torch.cat([red, blue], 3)[..., ::2]
    with torch.no_grad():
        mean = model.encode(both).latent_dist.mean
    left, right = mean[..., :3].mean((0, 2, 3)), mean[..., -3:].mean((0, 2, 3))
    assert (left - right).abs().max() > 0.1


def test_polishing_leaves_the_latents_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = vae.build()
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    decoder = {name: value.clone() for name, value in model.decoder.state_dict().items()}
    vae.polish(model, tmp_path, steps=2, seed=1, say=_quiet)
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert any(not torch.equal(v, decoder[k]) for k, v in model.decoder.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
