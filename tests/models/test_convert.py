"""VideoCrafter2's file: read safely, converted once, checked by name and shape."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from tests.models.tiny_vc2 import CONFIG, lvdm_unet, random_list, renamed_back, unet, write_teacher
from tests.models.tiny_vc2 import vae as tiny_vae
from turbo_eval.core.errors import ConfigError, InputError, PrerequisiteError, TurboError
from turbo_eval.models.checkpoint import read_list, read_tensors, write_streaming
from turbo_eval.models.convert import convert, find_converted, places, source_weights
from turbo_eval.models.lvdm_vae import vae_modules
from turbo_eval.models.networks import open_folder
from turbo_eval.models.videocrafter import vae_from_lvdm


def tensors_of(path: Path) -> dict[str, Any]:
    return dict(torch.load(path, weights_only=True)["state_dict"])


def test_the_converted_folder_holds_the_same_networks(tmp_path: Path) -> None:
    path, teacher, autoencoder, tower = write_teacher(tmp_path / "vc2")
    folder = convert(path)
    assert folder == tmp_path / "vc2" / "model.ckpt-diffusers"
    found = open_folder(folder)
    for ours, source in ((found.unet, teacher), (found.vae, autoencoder)):
        wanted = source.state_dict()
        assert ours.state_dict().keys() == wanted.keys()
        assert all(torch.equal(value, wanted[key]) for key, value in ours.state_dict().items())
    # The features of the second last block after the final norm, asked of open_clip's own tower.
    texts = ["a red cube", "two dogs &amp; a cat " + "on the moon " * 40]
    tokens = found.tokenizer(texts)
    ids = tokens.input_ids
    assert ids.shape == (2, 77)
    assert tokens.attention_mask.sum(1).tolist() == [5, 77]
    assert ids[0, 5:].eq(0).all()
    with torch.no_grad():
        x = tower.token_embedding(ids) + tower.positional_embedding
        for block in tower.transformer.resblocks[:-1]:
            x = block(x, attn_mask=tower.attn_mask)
        wanted_features = tower.ln_final(x)
    assert torch.allclose(found.encode(texts, "cpu"), wanted_features, atol=1e-5)
    assert found.rescale == 0.7
    assert float(found.alphas_cumprod[999]) == pytest.approx(0.0046601, rel=1e-4)
    assert torch.allclose(found.scheduler.alphas_cumprod, found.alphas_cumprod, rtol=1e-6)


def test_converted_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    path, *_ = write_teacher(tmp_path)
    folder = convert(path)
    before = source_weights(path)
    marker = folder / "marker"
    marker.touch()
    assert convert(path) == folder
    assert marker.exists()
    write_teacher(tmp_path, seed=1)
    assert find_converted(path) is None
    convert(path)
    assert not marker.exists()
    after = source_weights(path)
    assert before.keys() == after.keys() == {"model.ckpt"}
    assert before != after
    # Whoever is short of disk may remove the original; its checksum stays known.
    path.unlink()
    assert convert(path) == folder
    assert source_weights(path) == after


def test_a_folder_that_cannot_be_written_moves_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURBO_EVAL_HOME", str(tmp_path / "home"))
    path, *_ = write_teacher(tmp_path / "vc2")
    beside, cached = places(path)
    assert cached.is_relative_to(tmp_path / "home")
    # A folder below a file stands for one that refuses, since tests may run as root.
    monkeypatch.setattr("turbo_eval.models.convert.places", lambda _: [path / beside.name, cached])
    assert convert(path) == cached
    assert find_converted(path) == cached


def test_safetensors_and_half_precision_are_read_too(tmp_path: Path) -> None:
    path, teacher, *_ = write_teacher(tmp_path)
    state = {key: value.half() for key, value in tensors_of(path).items()}
    other = tmp_path / "half" / "model.safetensors"
    other.parent.mkdir()
    save_file(state, other)
    other.with_suffix(".json").write_text(json.dumps(CONFIG))
    stored = load_file(convert(other) / "unet" / "diffusion_pytorch_model.safetensors")
    wanted = teacher.state_dict()
    assert stored.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[key].half()) for key, value in stored.items())


def test_streamed_files_are_what_safetensors_writes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {
        "a": torch.randn(3, 5),
        "slice": torch.randn(6, 4).chunk(3)[1],
        "turned": torch.randn(2, 7).T,
        "half": torch.randn(9).bfloat16(),
        "number": torch.tensor(3),
        "empty": torch.empty(0, 4),
    }
    write_streaming(tmp_path / "x.safetensors", state)
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == state.keys()
    for key, tensor in state.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code of a checkpoint ran",))


def test_bad_files_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, *_ = write_teacher(tmp_path / "good")
    state = tensors_of(path)

    def refuse(name: str, words: str, content: Any = None, raw: bytes | None = None) -> None:
        bad = tmp_path / name / "model.ckpt"
        bad.parent.mkdir()
        bad.with_suffix(".json").write_text(json.dumps(CONFIG))
        if raw is not None:
            bad.write_bytes(raw)
        elif content is not None:
            torch.save(content, bad)
        with pytest.raises(TurboError, match=words) as caught:
            convert(bad)
        assert "\n" not in str(caught.value)
        assert not list(bad.parent.glob("*-diffusers"))
        assert not list(bad.parent.glob(".*-diffusers-*"))

    refuse("missing", "cannot read")
    refuse("cut", "cut off", raw=path.read_bytes()[: path.stat().st_size // 2])
    refuse("page", "no checkpoint", raw=b"<!DOCTYPE html><html></html>")
    refuse("empty", "no checkpoint", raw=b"")
    refuse("code", "never run", {"state_dict": state, "callback": Harmful()})
    refuse("code-plain", "never run", raw=pickle.dumps({"state_dict": Harmful()}))
    assert "ran" not in capsys.readouterr().out
    refuse("list", "a list without names", random_list(unet()))
    refuse("no-tensors", "no tensors", {"state_dict": {"a": 1}})
    student = {k.removeprefix("model.diffusion_model."): v for k, v in state.items()}
    refuse("family", "not a student", student)
    lacking = {k: v for k, v in state.items() if not k.endswith("out.2.weight")}
    refuse("lacking", r"out\.2\.weight", {"state_dict": lacking})
    extra = {**state, "first_stage_model.decoder.odd.weight": torch.zeros(1)}
    refuse("extra", r"decoder\.odd", {"state_dict": extra})
    shaped = {**state, "cond_stage_model.model.ln_final.bias": torch.zeros(3)}
    refuse("shaped", r"final_layer_norm\.bias", {"state_dict": shaped})
    towerless = {k: v for k, v in state.items() if "resblocks" not in k}
    refuse("towerless", "no OpenCLIP text tower", {"state_dict": towerless})


def test_the_configuration_beside_a_checkpoint_is_checked(tmp_path: Path) -> None:
    path, *_ = write_teacher(tmp_path)
    beside = path.with_suffix(".json")
    beside.unlink()
    with pytest.raises(InputError, match=r"model\.ckpt .* lacks 627"):  # the published sizes
        convert(path)
    for text, words in (("{", "cannot be read"), ('{"unnet": {}}', "may have the keys")):
        beside.write_text(text)
        with pytest.raises(ConfigError, match=words):
            convert(path)


def test_lists_are_read_safely(tmp_path: Path) -> None:
    tensors = random_list(unet())
    torch.save(tensors, tmp_path / "a.pt")
    save_file({f"{i:04d}": t for i, t in enumerate(tensors)}, tmp_path / "a.safetensors")
    for name in ("a.pt", "a.safetensors"):
        found = read_list(tmp_path / name)
        assert len(found) == len(tensors)
        assert all(torch.equal(a, b) for a, b in zip(found, tensors, strict=True))
    torch.save([*tensors, "text"], tmp_path / "b.pt")
    torch.save([], tmp_path / "c.pt")
    torch.save([*tensors, Harmful()], tmp_path / "d.pt")
    for name, words in (("b.pt", "is a str"), ("c.pt", "nothing"), ("d.pt", "never run")):
        with pytest.raises(PrerequisiteError, match=words):
            read_list(tmp_path / name)
    with pytest.raises(PrerequisiteError, match="no dictionary"):
        read_tensors(tmp_path / "a.pt")


def test_autoencoder_round_trip_and_refusals() -> None:
    torch.manual_seed(3)
    source = tiny_vae()
    state = renamed_back(source, vae_modules((1, 1, 1, 2), 1), 2)
    built = vae_from_lvdm(state, CONFIG["vae"])
    assert isinstance(built, AutoencoderKL)
    image = torch.randn(1, 3, 16, 24)
    with torch.no_grad():
        assert torch.equal(
            built.encode(image).latent_dist.mean, source.encode(image).latent_dist.mean
        )
    parts = CONFIG["vae"]["ddconfig"]
    for config, words in (
        ({}, "lacks"),
        ({"ddconfig": {**parts, "attn_resolutions": [16]}}, "attn_resolutions"),
        ({"ddconfig": {**parts, "double_z": False}}, "double_z"),
        ({"ddconfig": {**parts, "ch_mult": [2, 4]}}, "starts with 2"),
        ({"embed_dim": 3, "ddconfig": parts}, "embed_dim"),
    ):
        with pytest.raises(ConfigError, match=words):
            vae_from_lvdm(state, config)
    with pytest.raises(InputError, match=r"quant_conv\.weight"):
        vae_from_lvdm({k: v for k, v in state.items() if k != "quant_conv.weight"}, CONFIG["vae"])
    assert lvdm_unet(unet()).keys().isdisjoint(state)
