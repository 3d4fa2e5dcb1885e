"""--size, --frames, --fps and --negative: settings of every model of a run."""

import json
from pathlib import Path

import pytest

from tests import fakes
from tests.cli import sized
from turbo_eval.cli import main as main_module
from turbo_eval.cli.clip_options import take_settings, with_settings
from turbo_eval.config import ModelConfig
from turbo_eval.core.errors import UsageError
from turbo_eval.models import labels
from turbo_eval.models.load import known_settings
from turbo_eval.models.student import WEIGHTS
from turbo_eval.video.read import decode

SAID = {"size": "64x48", "fps": "12.5"}


@pytest.fixture(autouse=True)
def models() -> None:
    fakes.register()
    sized.register()


def told(*names: str, **said: str) -> list[str]:
    return [str(m["name"]) for m in with_settings([{"name": n} for n in names], said or SAID)]


def test_typed_values_become_settings() -> None:
    typed = {"size": "64x48", "fps": 12.5, "negative": " blurry, dull ", "seeds": 3}
    assert take_settings(typed) == {**SAID, "negative": "blurry, dull"}
    assert typed == {"seeds": 3}
    assert take_settings({"fps": 8.0, "size": None, "frames": 12}) == {"frames": "12", "fps": "8"}
    for wrong in ("64", "64x", "0x48", "64*48", "64x48x3", "-64x48"):
        with pytest.raises(UsageError, match="--size 512x320"):
            take_settings({"size": wrong})
    with pytest.raises(UsageError, match="--negative has no value"):
        take_settings({"negative": "  "})


def test_every_model_gets_them_and_its_own_ones_win(tmp_path: Path) -> None:
    names = {
        "videocrafter2": "videocrafter2:size=64x48,fps=12.5",
        "t2v-turbo-vc2:fps=8,compat=authors": "t2v-turbo-vc2:fps=8,compat=authors,size=64x48",
        "modelscope:size=256x256": "modelscope:size=256x256,fps=12.5",
        "diffusers:some/where": "diffusers:some/where:size=64x48,fps=12.5",
        "command:python d.py:frames=3": "command:python d.py:frames=3,size=64x48,fps=12.5",
        "mini-teacher": "mini-teacher:size=64x48,fps=12.5",
        "mini-turbo:size=96x64": "mini-turbo:size=96x64,fps=12.5",
        "vcm-vc2": "vcm-vc2:size=64x48,fps=12.5",
        f"{WEIGHTS / 'mini-vcm'}": f"{WEIGHTS / 'mini-vcm'}:size=64x48,fps=12.5",
        f"folder:{tmp_path}": f"folder:{tmp_path}",
        # It alone knows its settings, and refuses what it does not know.
        "untold": "untold:size=64x48,fps=12.5",
    }
    assert told(*names) == list(names.values())
    models = [{"name": "modelscope", "steps": 8}]
    assert with_settings(models, {}) == models
    assert with_settings(models, {"fps": "8"}) == [{"name": "modelscope:fps=8", "steps": 8}]


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("fake", SAID, "model fake takes no --size: it has no settings"),
        ("mini-turbo", {"negative": "so dull"}, "mini-turbo takes no --negative.*'NAME:neg.*dull'"),
        ("vcm-vc2", {"negative": "dull"}, "model vcm-vc2 takes no --negative"),
        (str(WEIGHTS / "mini-vcm"), {"negative": "dull"}, "mini-vcm takes no --negative"),
        ("t2v-turbo-vc2", {"negative": "dull"}, "t2v-turbo-vc2 takes no --negative: its settings"),
        ("modelscop", SAID, "unknown model 'modelscop'.*modelscope"),
    ],
)
def test_one_error_names_the_model_that_takes_none(
    name: str, said: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        told("videocrafter2", name, **said)


def test_a_value_that_would_be_read_otherwise_is_refused() -> None:
    harmless = "modelscope:negative=dull, size=small"
    assert told("modelscope", negative="dull, size=small") == [harmless]
    assert told("mini-teacher", negative="dull") == ["mini-teacher:negative=dull"]
    with pytest.raises(UsageError, match="space behind the comma"):
        told("modelscope", negative="dull,size=small")


def test_labels_stay_short_and_tell_long_prompts_apart() -> None:
    names = [f"modelscope:negative={'ugly ' * 200}{end}" for end in ("a", "b")]
    found = labels(ModelConfig(name=name) for name in names)
    assert found[0] != found[1]
    assert max(map(len, found)) <= 100
    assert known_settings(names[0]) == known_settings("modelscope")


def test_a_run_draws_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite, run = fakes.write_suite(tmp_path, 1), tmp_path / "run"
    typed = [
        "generate", f"custom:{suite}", "--model", "sized", "--model", "sized:size=16x32",
        "--size", "48x64", "--fps", "4", "--negative", "dull", "--judges", "fake",
        "--seeds", "1", "--run", str(run),
    ]  # fmt: skip
    assert main_module.run(typed) == 0
    found = {
        decode(path).frames.shape: int(decode(path).frames.mean()) for path in run.rglob("*.mp4")
    }
    assert set(found) == {(2, 64, 48, 3), (2, 32, 16, 3)}
    assert all(abs(shade - 40) < 6 for shade in found.values())
    assert {round(decode(path).fps) for path in run.rglob("*.mp4")} == {4}
    # The same command finds everything made; another size is another run.
    capsys.readouterr()
    assert main_module.run([*typed, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [stage["missing"] for stage in plan["stages"] if stage["stage"] == "generate"] == [0]
    other = [text.replace("48x64", "32x32") for text in typed]
    assert main_module.run(other) == 3
    capsys.readouterr()
    refused = [text.replace("sized:size=16x32", "fake") for text in typed]
    assert main_module.run(refused) == 2
    assert "model fake takes no --size" in capsys.readouterr().err
    assert main_module.run([*typed[:2], "--model", "sized", "--size", "48"]) == 2
    assert "--size 512x320" in capsys.readouterr().err
