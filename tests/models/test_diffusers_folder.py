"""Folders in diffusers' layout: found, whole, and of a class that draws videos."""

import ast
import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from turbo_eval.cli.main import run
from turbo_eval.core.errors import PrerequisiteError, UsageError
from turbo_eval.models import load
from turbo_eval.models.diffusers_families import FAMILIES, Family, check_request
from turbo_eval.models.diffusers_files import check_safetensors
from turbo_eval.models.diffusers_folder import find_folder, open_pipeline, pipeline_classes
from turbo_eval.models.diffusers_native import native
from turbo_eval.models.mini import PACKAGED

IMAGE_FIRST = "starts from an image, a video, a camera or a control signal"
OTHER: dict[str, str] = {
    "AnimateDiffControlNetPipeline": IMAGE_FIRST,
    "AnimateDiffSparseControlNetPipeline": IMAGE_FIRST,
    "Cosmos2VideoToWorldPipeline": IMAGE_FIRST,
    "CosmosVideoToWorldPipeline": IMAGE_FIRST,
    "EasyAnimateControlPipeline": IMAGE_FIRST,
    "EasyAnimateInpaintPipeline": IMAGE_FIRST,
    "I2VGenXLPipeline": IMAGE_FIRST,
    "LTX2DFRPipeline": "a fixed schedule of its own, without steps or guidance",
    "LTX2DFRTemporalRefinePipeline": IMAGE_FIRST,
    "LTX2HDRPipeline": IMAGE_FIRST,
    "LTX2ImageToVideoPipeline": IMAGE_FIRST,
    "LTX2InContextPipeline": IMAGE_FIRST,
    "LTXI2VLongMultiPromptPipeline": IMAGE_FIRST,
    "LTXImageToVideoPipeline": IMAGE_FIRST,
    "TextToVideoZeroSDXLPipeline": "returns images of an SDXL network, one clip as a list",
}
"""Classes with frames and no argument that must be an image, which are still no family."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the packaged pipeline, to be damaged."""
    place = tmp_path / "copy"
    shutil.copytree(PACKAGED, place)
    (place / "card.json").unlink()
    return place


def _index(folder: Path, **changes: Any) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_packaged_pipeline_is_whole(folder: Path) -> None:
    found = open_pipeline(folder)
    assert found.name == "TextToVideoSDPipeline"
    assert set(found.components) == {"vae", "unet", "text_encoder", "tokenizer", "scheduler"}


def test_cut_weights_are_named_with_their_sizes(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    whole = path.read_bytes()
    assert check_safetensors(path) > 1000
    for damaged in (whole[:-7], whole + b"x", whole[:5], b"", b"\xff" * 100):
        path.write_bytes(damaged)
        with pytest.raises(PrerequisiteError, match="diffusion_pytorch_model.*no whole"):
            open_pipeline(folder)


def test_missing_parts_are_named(folder: Path) -> None:
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    saved = path.read_bytes()
    path.unlink()
    with pytest.raises(PrerequisiteError, match="vae .* has no .safetensors weights"):
        open_pipeline(folder)
    path.with_name("diffusion_pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(PrerequisiteError, match="pickled files are not read"):
        open_pipeline(folder)
    path.with_name("diffusion_pytorch_model.safetensors.index.json").write_text(
        json.dumps(
            {
                "metadata": {"total_size": 2_500_000_000},
                "weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"},
            }
        )
    )
    path.with_name("part-1.safetensors").write_bytes(saved)
    with pytest.raises(PrerequisiteError, match=r"part-2.safetensors is missing.*2.5 GB.*vae"):
        open_pipeline(folder)
    shutil.rmtree(folder / "vae")
    with pytest.raises(PrerequisiteError, match="vae is missing"):
        open_pipeline(folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("StableDiffusionPipeline", "images, not videos.*motion_adapter"),
        ("FluxPipeline", "no video from a prompt alone"),
        ("CogVideoXImageToVideoPipeline", "no video from a prompt alone"),
        ("WanPipline", "did you mean WanPipeline"),
        ("Nonsense", "unknown pipeline class 'Nonsense'"),
        (["pipeline.py", "Mine"], "code of its own.*command:"),
    ],
)
def test_other_classes_are_refused(folder: Path, name: Any, said: str) -> None:
    _index(folder, _class_name=name)
    with pytest.raises(UsageError, match=said):
        load(f"diffusers:{folder}")


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.needs])
def test_a_library_that_a_class_needs_is_named(
    folder: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before weights are read, and whatever the folder says of its safety checker."""
    monkeypatch.setattr(
        "turbo_eval.models.diffusers_folder.find_spec",
        lambda library: None if library == "cosmos_guardrail" else find_spec(library),
    )
    for entry in ([None, None], ["cosmos_guardrail", "CosmosSafetyChecker"]):
        _index(folder, _class_name=name, safety_checker=entry, enable_safety_checker=False)
        assert run(["models", "check", f"diffusers:{folder}"]) == 4
        (line,) = [text for text in capsys.readouterr().err.splitlines() if text]
        assert f"{name} needs the library cosmos_guardrail" in line
        assert "Fix: pip install cosmos_guardrail" in line


def test_a_negative_prompt_that_a_class_would_ignore_is_refused(folder: Path) -> None:
    _index(folder, _class_name="HunyuanVideoPipeline")
    with pytest.raises(UsageError, match="takes no negative prompt.*leave negative away"):
        load(f"diffusers:{folder}:negative=dull")
    assert load(f"diffusers:{folder}").info.guidance == 6


def test_code_beside_weights_is_never_run(folder: Path) -> None:
    (folder / "unet" / "mine.py").write_text("raise SystemExit('run!')")
    _index(folder, unet=["mine", "Network"])
    with pytest.raises(UsageError, match=r"code outside diffusers and transformers \(mine\)"):
        load(f"diffusers:{folder}")


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"unet": 1}'])
def test_an_index_that_is_none(folder: Path, text: str) -> None:
    (folder / "model_index.json").write_text(text)
    with pytest.raises(PrerequisiteError, match=r"model_index\.json"):
        load(f"diffusers:{folder}")


def test_a_motion_adapter_needs_an_image_pipeline(folder: Path) -> None:
    with pytest.raises(UsageError, match="takes no motion adapter"):
        open_pipeline(folder, adapter=True)


def test_a_repository_is_looked_for_in_three_places(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(PrerequisiteError) as caught:
        find_folder("them/copyx", None)
    assert "weights/copyx/model_index.json" in str(caught.value)
    assert "turbo-eval models pull them/copyx" in str(caught.value)
    with pytest.raises(PrerequisiteError, match="check the path"):
        find_folder("/nowhere/at/all", None)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(PrerequisiteError, match="no diffusers pipeline"):
        find_folder(str(empty), None)
    snapshot = tmp_path / "hub" / "models--them--copyx" / "snapshots" / "0abc"
    shutil.copytree(folder, snapshot)
    assert find_folder("them/copyx", None) == snapshot
    shutil.copytree(folder, tmp_path / "w" / "copyx")
    assert find_folder("them/copyx", Path("w")) == Path("w/copyx")
    assert find_folder(os.fspath(folder), None) == folder


def test_sizes_come_from_the_networks(tmp_path: Path) -> None:
    (tmp_path / "transformer").mkdir()
    (tmp_path / "vae").mkdir()
    (tmp_path / "transformer" / "config.json").write_text(
        json.dumps(
            {"sample_frames": 81, "sample_height": 96, "sample_width": 170, "patch_size_t": 2}
        )
    )
    (tmp_path / "vae" / "config.json").write_text(json.dumps({"block_out_channels": [1, 2, 3, 4]}))
    found = native("CogVideoXPipeline", tmp_path)
    assert (found.frames, found.width, found.height, found.fps) == (81, 1360, 768, 16)
    first = native("CogVideoXPipeline", tmp_path / "nothing")
    assert (first.frames, first.width, first.height, first.fps) == (49, 720, 480, 8)


def test_lengths_that_a_pipeline_would_change_in_silence() -> None:
    family = FAMILIES["HeliosPipeline"]
    assert [family.returned(33 * k) for k in (1, 2, 3, 4)] == [33, 65, 97, 129]
    for name, family in FAMILIES.items():
        check_request(name, family, frames=family.frames, size=(family.width, family.height))
    with pytest.raises(UsageError, match="frames=13 or frames=17"):
        check_request("WanPipeline", FAMILIES["WanPipeline"], frames=16, size=(832, 480))
    with pytest.raises(UsageError, match="height of 500.*480 or 512"):
        check_request("LTXPipeline", FAMILIES["LTXPipeline"], frames=9, size=(64, 500))


def _calls() -> dict[str, dict[str, Any]]:
    """Every pipeline class of the installed diffusers to the arguments of its call."""
    spec = find_spec("diffusers")
    assert spec is not None
    assert spec.origin is not None
    found: dict[str, dict[str, Any]] = {}
    for path in (Path(spec.origin).parent / "pipelines").rglob("pipeline_*.py"):
        text = path.read_text(encoding="utf-8")
        if "frames" not in text and "video_length" not in text:
            continue
        for node in ast.parse(text).body:
            if not isinstance(node, ast.ClassDef) or node.name not in pipeline_classes():
                continue
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == "__call__":
                    names = [argument.arg for argument in each.args.args][1:]
                    values = [_value(default) for default in each.args.defaults]
                    needed: list[Any] = [...] * (len(names) - len(values))
                    found[node.name] = dict(zip(names, [*needed, *values], strict=True))
    return found


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


CALLS = _calls()


@pytest.mark.parametrize("name", FAMILIES)
def test_defaults_are_those_of_the_signature(name: str) -> None:
    call, family = CALLS[name], FAMILIES[name]
    assert {"prompt", "generator", "output_type", "height", "width"} <= set(call)
    # Two scales: the one that is told to the network, and one that is off unless it is given.
    assert family.negative == ("negative_prompt" in call and "true_cfg_scale" not in call)
    wanted: dict[str, Any] = {
        "height": family.height,
        "width": family.width,
        family.frames_key: family.frames,
    }
    if family.guidance_in == "argument":
        wanted["guidance_scale"] = family.guidance
    if family.fps_key:
        wanted[family.fps_key] = family.fps
    if family.stages:
        wanted["pyramid_num_inference_steps_list"] = [family.steps] * family.stages
    else:
        wanted["num_inference_steps"] = family.steps
    for key, value in wanted.items():
        # None: the pipeline asks its networks' configurations, as `native` does.
        assert call[key] in (value, None), key


def test_no_text_to_video_class_is_forgotten() -> None:
    """Whatever can be called with a prompt alone and draws frames is a family, or says why not."""
    found = {
        name
        for name, call in CALLS.items()
        if {"num_frames", "video_length", "frames"} & set(call)
        and "prompt" in call
        and ... not in [value for key, value in call.items() if key != "prompt"]
        and call.get("video", None) in (None,)
    }
    assert found == set(FAMILIES) | set(OTHER)


def test_a_family_is_plain_data() -> None:
    assert all(isinstance(family, Family) for family in FAMILIES.values())
    assert list(FAMILIES) == sorted(FAMILIES)
