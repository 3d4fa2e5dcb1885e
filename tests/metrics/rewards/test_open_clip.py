"""HPSv2.1, PickScore and CLIP on small random networks in the official file formats."""

import pickle
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from tests.metrics.rewards.tiny import CONFIG, open_clip_state, transformers_clip
from turbo_eval.core.errors import PrerequisiteError, UsageError
from turbo_eval.core.hashing import file_sha256
from turbo_eval.metrics.rewards import Reward, load
from turbo_eval.metrics.rewards.files import SOURCES, find, locate
from turbo_eval.metrics.rewards.naming import to_open_clip
from turbo_eval.metrics.rewards.open_clip_towers import OpenClipReward, read_weights
from turbo_eval.metrics.rewards.preprocess import letterbox, squeeze

PROMPTS = ["A red star, spinning", "two cats on a roof"]


@pytest.fixture(autouse=True)
def nothing_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURBO_EVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)


def reward(name: str, path: Path, **settings: str) -> OpenClipReward:
    return OpenClipReward(SOURCES[name], path, config=CONFIG, **settings)


def hps_file(folder: Path) -> Path:
    path = folder / "HPS_v2.1_compressed.pt"
    state = {key: value.half() for key, value in open_clip_state().items()}
    torch.save({"epoch": 3, "name": "a run", "state_dict": state}, path)
    return path


def test_hps_is_the_cosine_of_open_clips_own_towers(tmp_path: Path) -> None:
    model = open_clip.CLIP(**CONFIG).eval()
    model.load_state_dict({k: v.half().float() for k, v in open_clip_state().items()})
    frames = torch.rand(2, 3, 40, 64)
    seen = model.encode_image(letterbox(frames, 28), normalize=True)
    tokens = open_clip.tokenizer.SimpleTokenizer(context_length=77)(PROMPTS)
    said = model.encode_text(tokens, normalize=True)
    mine = reward("hpsv2.1", hps_file(tmp_path))
    assert isinstance(mine, Reward)
    torch.testing.assert_close(mine.score(frames, PROMPTS), (seen * said).sum(1))


def test_pickscore_is_the_cosine_of_transformers_own_towers(tmp_path: Path) -> None:
    model = transformers_clip()
    path = tmp_path / "PickScore_v1.safetensors"
    save_file({k: v.clone() for k, v in model.state_dict().items()}, path)
    frames = torch.rand(2, 3, 40, 64)
    tokens = open_clip.tokenizer.SimpleTokenizer(context_length=77)(PROMPTS)
    with torch.no_grad():
        seen = model.get_image_features(pixel_values=squeeze(frames, 28)).pooler_output
        said = model.get_text_features(input_ids=tokens).pooler_output
    theirs = F.cosine_similarity(seen, said)
    mine = reward("pickscore", path).score(frames, PROMPTS)
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    assert len({round(float(v), 4) for v in mine}) == 2  # Not a constant.


def test_constants_that_older_programs_saved_are_no_weights() -> None:
    state = dict(transformers_clip().state_dict())
    plain = to_open_clip(state)
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    state["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    assert to_open_clip(state).keys() == plain.keys() == open_clip_state().keys()


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_gradient_reaches_the_pixels_and_nothing_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / "w.safetensors"
    state = transformers_clip().state_dict() if name == "pickscore" else open_clip_state()
    save_file({k: v.clone() for k, v in state.items()}, path)
    mine = reward(name, path)
    with torch.inference_mode():
        mine.score(torch.rand(2, 3, 40, 64), PROMPTS)  # As a metric does, before.
    frames = torch.rand(2, 3, 40, 64, requires_grad=True)
    mine.score(frames, PROMPTS).sum().backward()
    assert frames.grad is not None
    assert bool(torch.isfinite(frames.grad).all())
    assert all(float(one.abs().max()) > 0 for one in frames.grad)
    assert not mine.network.training
    for parameter in mine.network.parameters():
        assert not parameter.requires_grad
        assert parameter.grad is None


def test_half_precision_scores_are_float32_and_near(tmp_path: Path) -> None:
    path = hps_file(tmp_path)
    frames = torch.rand(2, 3, 40, 64)
    exact = reward("hpsv2.1", path).score(frames, PROMPTS)
    rough = reward("hpsv2.1", path, dtype="bfloat16").score(frames, PROMPTS)
    assert rough.dtype is torch.float32
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.05)
    with pytest.raises(UsageError, match="float8"):
        reward("hpsv2.1", path, dtype="float8")


def test_info_holds_the_checksum(tmp_path: Path) -> None:
    path = hps_file(tmp_path)
    info = reward("hpsv2.1", path).info
    assert info.weights == {"HPS_v2.1_compressed.pt": file_sha256(path)}
    assert (info.id, info.kind, info.frames, info.size) == ("hpsv2.1", "image", None, 28)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_missing_file_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    with pytest.raises(PrerequisiteError) as caught:
        load(name, weights_dir=tmp_path / "mine")
    text = str(caught.value)
    assert SOURCES[name].files[0] in text
    assert str(tmp_path / "mine" / SOURCES[name].files[0]) in text
    assert SOURCES[name].page in text


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_documented_place_is_found(tmp_path: Path, name: str) -> None:
    for place in SOURCES[name].files:
        path = tmp_path / "mine" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert find(SOURCES[name], tmp_path / "mine") == path
        path.unlink()


def test_the_hubs_own_cache_is_searched(tmp_path: Path) -> None:
    source = SOURCES["pickscore"]
    repository = tmp_path / "hub" / "models--yuvalkirstain--PickScore_v1"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc", encoding="utf-8")
    assert locate(source) is None
    (snapshot / "model.safetensors").touch()
    assert locate(source) == snapshot / "model.safetensors"


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("exploded"),))  # type: ignore[return-value]


def test_a_checkpoint_with_code_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "HPS_v2.1_compressed.pt"
    with path.open("wb") as file:
        pickle.dump({"state_dict": _Bomb()}, file)
    with pytest.raises(PrerequisiteError):
        read_weights(path, SOURCES["hpsv2.1"])
    assert not (tmp_path / "exploded").exists()


def test_a_file_cut_in_half_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    save_file({k: v.clone() for k, v in open_clip_state().items()}, whole)
    half = tmp_path / "half.safetensors"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(PrerequisiteError, match=r"half\.safetensors"):
        read_weights(half, SOURCES["clip"])


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    state = {k: v.clone() for k, v in open_clip_state().items()}
    del state["visual.proj"]
    save_file(state, path)
    with pytest.raises(PrerequisiteError, match=r"visual\.proj"):
        reward("clip", path).score(torch.rand(1, 3, 28, 28), ["a cat"])
    save_file({k: v.clone() for k, v in open_clip_state().items()}, path)
    with pytest.raises(PrerequisiteError, match="no CLIP of transformers"):
        read_weights(path, SOURCES["pickscore"])


def test_a_lost_query_is_named() -> None:
    state = dict(transformers_clip().state_dict())
    del state["vision_model.encoder.layers.1.self_attn.q_proj.bias"]
    with pytest.raises(
        PrerequisiteError, match=r"visual.transformer.resblocks.1.*lacks its part q"
    ):
        to_open_clip(state)
