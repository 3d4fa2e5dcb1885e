"""bfloat16 on request: every official judge computes in it, near float32, under another name."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.backbones.official.small_judges import MAKERS, make_judge
from turbo_eval.backbones import load_judges
from turbo_eval.backbones.official import REDUCED
from turbo_eval.cli.main import run as command
from turbo_eval.core.errors import UsageError
from turbo_eval.core.records import Prompt, feature_key, unpack_text
from turbo_eval.video import encode
from turbo_eval.video.clip import clip_of

PROMPT = Prompt("0" * 16, "a cat", (), {"appearance_style": {"appearance_style": "ink"}}, "s", 0)
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("role", MAKERS)
def test_features_are_near_those_of_float32(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (64, 80) if role in ("detector", "scene") else (128, 160)
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    frames = np.stack([[x + 3 * t, y + 9 * t, x + y] for t in range(3)]).transpose(0, 2, 3, 1)
    clip = clip_of(frames.astype(np.uint8), 8.0)
    if role == "flow":
        monkeypatch.setattr("turbo_eval.backbones.official.raft.UPDATES", 3)
    whole = make_judge(role, monkeypatch).extract(clip, PROMPT)
    reduced = make_judge(role, monkeypatch, "bfloat16").extract(clip, PROMPT)
    assert reduced.keys() == whole.keys()
    same = []
    for key, array in whole.items():
        other = reduced[key]
        if array.dtype == np.uint8:
            # Words may turn where two are nearly as likely; each has its text all the same.
            assert len(unpack_text(other)) == len(unpack_text(array))
            continue
        assert (other.dtype, other.shape) == (array.dtype, array.shape)
        scale = float(np.abs(array).max()) or 1.0
        assert float(np.abs(other.astype(float) - array.astype(float)).max()) < 0.05 * scale
        same.append(np.array_equal(other, array))
    # The reduced pass must be one: equal bits everywhere would be float32 again.
    assert role in ("detector", "scene") or not all(same)


def test_names_and_keys_never_mix(tmp_path: Path) -> None:
    whole = load_judges("official", weights_dir=tmp_path)
    reduced = load_judges("official", weights_dir=tmp_path, dtype="bfloat16")
    assert reduced.name == REDUCED
    assert reduced.key != whole.key
    keys = {
        feature_key("0" * 16, info.id, info.version, "weights")
        for judges in (whole, reduced)
        for role, info in judges.infos.items()
        if role != "pixels"
    }
    assert len(keys) == 2 * len(MAKERS)
    # Plain differences of pixels have no number type.
    assert reduced.infos["pixels"] == whole.infos["pixels"]
    assert load_judges("official", weights_dir=tmp_path, dtype="float32").key == whole.key


def test_judges_that_cannot_refuse_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with pytest.raises(UsageError, match="'mini' cannot compute in bfloat16"):
        load_judges("mini", dtype="bfloat16")
    monkeypatch.chdir(tmp_path)
    encode(np.zeros((3, 32, 32, 3), np.uint8), 8, tmp_path / "clips" / "a cat-0.mp4")
    entry = {"prompt_en": "a cat", "dimension": ["temporal_flickering"]}
    Path("info.json").write_text(json.dumps([entry]))
    args = ["run", "vbench:info.json", "--model", "folder:clips", "--run", "r"]
    assert command([*args, "--judges", "mini", "--judge-dtype", "bf16"]) == 2
    assert "judges 'mini' cannot compute in bfloat16" in capsys.readouterr().err
    assert not Path("r").exists()
    assert command([*args, "--judges", "official", "--judge-dtype", "half"]) == 2
    assert "judge_dtype" in capsys.readouterr().err
    args += ["--judges", "official"]
    assert command([*args, "--judge-dtype", "bf16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["judges"] == REDUCED
    # Another number type is another run.
    assert command(args) == 3
    assert "judge_dtype" in capsys.readouterr().err
