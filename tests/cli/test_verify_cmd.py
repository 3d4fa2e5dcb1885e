"""`verify vbench` with an interpreter that is no VBench: a program that writes its own numbers."""

import json
import os
import sys
from pathlib import Path

import pytest

from turbo_eval.cli.main import run as command

Capture = pytest.CaptureFixture[str]
# It gets the driver's path and arguments, as the official environment's Python would, and computes
# temporal flickering from the pixels in its own way.
PROGRAM = """#!{python}
import argparse, json, os, sys
import numpy as np
if sys.argv[1] == "-c":
    sys.exit("{fault}" == "absent")
parser = argparse.ArgumentParser()
parser.add_argument("driver")
for name in ("dimension", "videos", "info", "cache", "out", "vocabulary", "device"):
    parser.add_argument("--" + name, default="")
args = parser.parse_args()
assert os.path.isfile(args.driver) and os.path.isdir(args.cache), args
os.makedirs(args.out, exist_ok=True)
if "{fault}" == "crash":
    with open(os.path.join(args.out, args.dimension + "_error.txt"), "w") as file:
        file.write("ModuleNotFoundError: No module named 'vbench'\\n")
    sys.exit(1)
import av
rows = []
for entry in json.load(open(args.info)):
    if args.dimension not in entry["dimension"]:
        continue
    for index in range(5):
        path = os.path.join(args.videos, entry["prompt_en"] + "-" + str(index) + ".mp4")
        if not os.path.exists(path):
            continue
        with av.open(path) as file:
            frames = [f.to_ndarray(format="bgr24").astype(np.float64) for f in file.decode(video=0)]
        steps = [np.abs(a - b).mean() for a, b in zip(frames, frames[1:])]
        value = 1 - sum(steps) / len(steps) / 255
        rows.append({{"video_path": path, "video_results": value + {shift}}})
mean = sum(row["video_results"] for row in rows) / len(rows)
with open(os.path.join(args.out, args.dimension + "_eval_results.json"), "w") as file:
    json.dump({{args.dimension: [mean, rows]}}, file)
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def interpreter(shift: float = 0.0, fault: str = "") -> str:
    path = Path("python").resolve()
    path.write_text(PROGRAM.format(python=sys.executable, shift=shift, fault=fault))
    os.chmod(path, 0o755)
    return str(path)


def verify(python: str, *more: str) -> int:
    only = ["--dimensions", "temporal_flickering", "--device", "cpu"]
    return command(["verify", "vbench", "--python", python, *only, *more])


def test_equal_numbers_are_exit_code_0(capsys: Capture) -> None:
    assert verify(interpreter(), "--json", "--work", "kept") == 0
    (row,) = json.loads(capsys.readouterr().out)["dimensions"]
    assert (row["dimension"], row["state"], row["videos"]) == ("temporal_flickering", "equal", 1)
    assert row["largest"] < 1e-6
    assert row["official"] == pytest.approx(row["ours"], abs=1e-6)
    assert 0.9 < row["ours"] < 0.999
    assert Path("kept/official/temporal_flickering_eval_results.json").is_file()
    assert Path("kept/ours/temporal_flickering_eval_results.json").is_file()


def test_other_numbers_are_exit_code_7(capsys: Capture) -> None:
    assert verify(interpreter(shift=0.01)) == 7
    out, err = capsys.readouterr()
    assert "differs" in out
    assert "off by 1.0e-02" in out
    assert "temporal_flickering" in err.splitlines()[-1]
    assert verify(interpreter(shift=0.01), "--tolerance", "0.02") == 0


def test_an_environment_without_the_package_is_told(capsys: Capture) -> None:
    assert verify(interpreter(fault="crash")) == 6
    assert "No module named 'vbench'" in capsys.readouterr().err.splitlines()[-1]
    # Before anything is scored here.
    for python in ("no-such-python", interpreter(fault="absent")):
        assert verify(python) == 4
        assert "features" not in capsys.readouterr().err
    assert verify(interpreter(), "--videos", "x") == 2


def test_the_driver_tells_what_went_wrong(tmp_path: Path) -> None:
    from turbo_eval.report.vbench_driver import main

    args = ["--dimension", "no_such_dimension", "--videos", "v", "--info", "i", "--cache", "c"]
    before = os.environ.get("VBENCH_CACHE_DIR")
    try:
        assert main([*args, "--out", str(tmp_path / "o")]) == 1
    finally:
        os.environ.pop("VBENCH_CACHE_DIR") if before is None else os.environ.update(
            VBENCH_CACHE_DIR=before
        )
    told = (tmp_path / "o" / "no_such_dimension_error.txt").read_text(encoding="utf-8")
    assert told.splitlines()[0]
    assert "Traceback" in told
