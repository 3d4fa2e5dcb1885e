"""docs/models.md: every command is typed, and every fact of a recipe is the program's own."""

import re
import shlex
from pathlib import Path

import pytest

from turbo_eval.cli.main import run
from turbo_eval.models.diffusers_families import FAMILIES
from turbo_eval.models.load import load
from turbo_eval.models.real_systems import facts_without_weights, real_names

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text()
ROWS = {
    name: (command, clip, sampling)
    for name, command, clip, sampling in re.findall(
        r"^\| `([^`]+)` \| [^|]* \| `(turbo-eval [^`]+)` \| ([^|]*) \| ([^|]*)\|$",
        PAGE,
        re.MULTILINE,
    )
}
BLOCKS = [
    line.strip().partition("    ")[0]
    for line in re.sub(r"\\\n\s*", "", PAGE).splitlines()
    if re.match(r"    turbo-eval (run|generate) ", line)
]
COMMANDS = sorted({*BLOCKS, *(command for command, _, _ in ROWS.values())})
DIFFUSERS = {
    "diffusers:THUDM/CogVideoX-2b": "CogVideoXPipeline",
    "diffusers:Lightricks/LTX-Video": "LTXPipeline",
    "diffusers:Wan-AI/Wan2.1-T2V-1.3B-Diffusers": "WanPipeline",
    "diffusers:hunyuanvideo-community/HunyuanVideo": "HunyuanVideoPipeline",
    "diffusers:genmo/mochi-1-preview": "MochiPipeline",
}


def test_every_name_has_a_recipe() -> None:
    assert {*real_names(), "mini-teacher", "mini-vcm", "mini-turbo"} <= {*ROWS}
    assert {"command:PROGRAM", "folder:PATH", *DIFFUSERS} <= {*ROWS}
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("name", [name for name in ROWS if name[0] != "c" and name[0] != "f"])
def test_a_recipe_says_what_the_program_says(name: str) -> None:
    _, clip, sampling = ROWS[name]
    if name in DIFFUSERS:
        family = FAMILIES[DIFFUSERS[name]]
        told = (family.width, family.height, family.frames, family.fps)
        drawn = (family.steps, family.guidance)
    else:
        facts = facts_without_weights(name)
        info = load(name).info if facts is None else None
        keys = ("width", "height", "frames", "fps", "steps", "guidance")
        values = [getattr(info, key) if facts is None else facts[key] for key in keys]
        told, drawn = (values[0], values[1], values[2], values[3]), (values[4], values[5])
    assert clip.strip() == f"{told[0]} x {told[1]}, {told[2]}, {told[3]:g}"
    assert sampling.strip() == f"{drawn[0]}, {drawn[1]:g}"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_or_names_what_it_needs(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In an empty folder, with the suite that is here and without drawing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)
    for name in ("VBENCH_CACHE_DIR", "HF_HOME", "HF_HUB_CACHE", "TURBO_EVAL_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    (tmp_path / "draw.py").touch()
    words = shlex.split(command)[1:]
    words[1] = "mini"
    code = run([*words, "--dry-run", "--json"])
    lines = [
        text for text in capsys.readouterr().err.splitlines() if text.startswith("turbo-eval: ")
    ]
    if code == 0:
        assert not lines
        return
    # Weights (4) or videos (5) are not here, and a path of the page may be no student yet (2).
    (line,) = lines
    assert code == 4 or (code == 5 and "folder:" in command) or "runs/train/" in line, line
    assert "Fix: " in line
