"""`turbo-eval ablate` as typed: on a trainer and models without networks, and once for real."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import fakes
from tests.ablate.students import PRINT, FakeStudent, export
from turbo_eval.ablate import grid, spec, trainer
from turbo_eval.ablate.trainer import Training, TrainingFailed
from turbo_eval.cli.main import run as command
from turbo_eval.core.runs import RunFolder
from turbo_eval.metrics.rewards import Reward, RewardInfo
from turbo_eval.metrics.rewards.load import REGISTRY as REWARDS

Capture = pytest.CaptureFixture[str]

FILE = """
description = "Two ranks."
suite = "custom:suite.json"
judges = "fake"
rewards = ["fake-brightness"]
reference = "Fake"
show = ["color"]
[base]
config = "mini-vcm"
[[system]]
name = "Fake"
model = "fake"
steps = 2
[grid]
"lora.rank" = [4, 8]
[quick]
limit = 12
set = { steps = 5 }
"""


class Brightness:
    """A reward without a network: the mean of the pixels."""

    @property
    def info(self) -> RewardInfo:
        return RewardInfo(id="fake-brightness", kind="image", size=32, weights={"none": "0"})

    def preprocess(self, frames: Any) -> Any:
        return frames

    def score(self, frames: Any, prompts: Sequence[str]) -> Any:
        assert len(frames) == len(prompts)
        return frames.mean((1, 2, 3))


def brightness(name: str, *, weights_dir: Path | None, device: str, dtype: str) -> Reward:
    """The factory of the registry."""
    return Brightness()


@pytest.fixture(autouse=True)
def _world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.register()
    # Other tests look at every reward there is: this one leaves with its test.
    monkeypatch.setattr(REWARDS, "_entries", dict(REWARDS._entries))
    monkeypatch.setattr(REWARDS, "_loaded", dict(REWARDS._loaded))
    REWARDS.add("fake-brightness", brightness)
    fakes.write_suite(tmp_path)
    (tmp_path / "two.toml").write_text(FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "calls.log"))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Puts students without networks in place; returns the names of those that were trained."""
    names: list[str] = []

    def train(training: Training, **_: Any) -> bool:
        names.append(training.variant.name)
        export(training)
        return True

    def plans(trainings: list[Training]) -> list[dict[str, Any]]:
        keys = ("trained_parameters", "weights_gib", "optimizer_gib", "activations_gib")
        return [dict.fromkeys(keys, 1.0) for _ in trainings]

    monkeypatch.setattr(trainer, "train", train)
    monkeypatch.setattr(trainer, "plans", plans)
    monkeypatch.setattr(trainer, "_fingerprint", lambda _: PRINT)
    # The package's function `load` hides the module of that name.
    monkeypatch.setattr(sys.modules["turbo_eval.models.load"], "StudentTextToVideo", FakeStudent)
    return names


def ablate(*more: str) -> int:
    return command(["ablate", "two.toml", "--no-measure", "--run", "r", *more])


def test_without_a_name_the_packaged_ones_are_listed(capsys: Capture) -> None:
    assert command(["ablate", "--json"]) == 0
    listed = [entry["name"] for entry in json.loads(capsys.readouterr().out)]
    assert {"reward-mix", "steps", "data", "rewards-v2"} <= set(listed)


def test_the_whole_way(trained: list[str], capsys: Capture) -> None:
    assert ablate() == 0
    out, err = capsys.readouterr()
    assert trained == ["rank=4", "rank=8"]
    assert out == "r/ablation/table.md\n"
    # What is going to happen is told before anything does.
    assert err.index("train  rank=4: mini-vcm") < err.index("generate")
    found = json.loads(Path("r/ablation/ablation.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["Fake", "rank=4", "rank=8"]
    assert (found["baseline"], found["references"]) == ("rank=4", ["rank=4", "Fake"])
    fake, first, second = found["rows"]
    assert (fake["kind"], fake["network_calls"], fake["training"]) == ("system", 4, None)
    assert (first["network_calls"], first["training"]["clips"]) == (4, 8)
    # Measures are those of the run; every row has differences to the others it is compared with.
    summary = json.loads(Path("r/summary.json").read_text())
    for row in found["rows"]:
        cell = summary["models"][row["label"]]["vbench.color"]
        assert row["measures"]["color"] == {k: cell[k] for k in row["measures"]["color"]}
    assert set(first["differences"]) == {"Fake"}
    assert set(second["differences"]) == {"rank=4", "Fake"}
    gap = second["differences"]["rank=4"]["total"]
    assert gap["value"] == pytest.approx(
        second["measures"]["total"]["value"] - first["measures"]["total"]["value"]
    )
    assert gap["p"] <= gap["p_holm"] <= 1
    # Comparing with the second reference is the mirror image of comparing it with the first.
    back = first["differences"]["Fake"]["color"]["value"]
    assert back == pytest.approx(-fake["differences"]["rank=4"]["color"]["value"])
    table = Path("r/ablation/table.md").read_text()
    assert "Differences from rank=4" in table
    assert "Differences from Fake" in table
    page = Path("r/ablation/index.md").read_text()
    assert all(line.replace("_", "\\_")[:30] in page for line in found["conclusion"])
    assert Path("r/report/index.html").is_file()


def test_rewards_are_the_mean_of_the_clips_and_kept(trained: list[str]) -> None:
    assert ablate() == 0
    found = json.loads(Path("r/ablation/ablation.json").read_text())
    rows = RunFolder(Path("r")).videos.read()
    cell = found["rows"][1]["measures"]["reward.fake-brightness"]
    assert (cell["n"], cell["of"]) == (15, 15)
    assert len(rows) == 45
    from turbo_eval.video.read import decode

    mine = [row for row in rows if row["model"] == found["rows"][1]["label"]]
    means = [decode(Path("r", row["path"])).frames.mean() / 255 for row in mine]
    assert cell["value"] == pytest.approx(sum(means) / len(means), abs=1e-5)
    assert cell["low"] < cell["value"] < cell["high"]
    shards = list(Path("r/features.parquet").iterdir())
    assert ablate() == 0
    assert list(Path("r/features.parquet").iterdir()) == shards


def test_a_second_start_trains_and_draws_nothing(trained: list[str], capsys: Capture) -> None:
    assert ablate() == 0
    before = Path("calls.log").read_text()
    first = Path("r/ablation/ablation.json").read_bytes()
    assert ablate("--json") == 0
    assert trained == ["rank=4", "rank=8"]
    assert Path("calls.log").read_text() == before
    assert Path("r/ablation/ablation.json").read_bytes() == first
    out = capsys.readouterr().out
    assert json.loads(out[out.index("{") :]) == json.loads(first)


def test_a_failed_variant_hands_its_code_on_and_keeps_the_others(
    trained: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    good = trainer.train

    def train(training: Training, **how: Any) -> bool:
        if training.variant.name == "rank=8":
            raise TrainingFailed("training of variant 'rank=8' failed", 4)
        return good(training, **how)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train", train)
        assert ablate() == 4
    assert "'rank=8' failed" in capsys.readouterr().err
    assert Path("r/students/rank-4/student.json").is_file()
    assert ablate() == 0
    assert trained == ["rank=4", "rank=8"]


def test_other_settings_do_not_share_the_folder(trained: list[str], capsys: Capture) -> None:
    assert ablate() == 0
    assert ablate("--set", "batch_size=2") == 3
    assert "batch_size: 8 there, 2 now" in capsys.readouterr().err
    # Without --run each set of settings has a folder of its own.
    for more in ([], ["--set", "batch_size=2"], ["--preset", "quick"]):
        assert command(["ablate", "two.toml", "--no-measure", "--dry-run", "--json", *more]) == 0
    plans = capsys.readouterr().out.split("\n}\n")
    folders = [json.loads(text + "\n}")["run"] for text in plans if text.strip()]
    assert len(set(folders)) == 3


def test_a_folder_of_another_run_is_refused_before_training(
    trained: list[str], capsys: Capture
) -> None:
    words = ["run", "custom:suite.json", "--judges", "fake", "--model", "fake", "--run", "r"]
    assert command([*words, "--prompts", "an alley 1"]) == 0
    assert ablate() == 3
    assert "started with another configuration" in capsys.readouterr().err
    assert trained == []


def test_dry_run_shows_the_plan_and_does_nothing(trained: list[str], capsys: Capture) -> None:
    assert ablate("--preset", "quick", "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert [(t["name"], t["steps"], t["left"]) for t in plan["training"]] == [
        ("rank=4", 5, 5),
        ("rank=8", 5, 5),
    ]
    assert [(s["name"], s["videos"], s["calls"]) for s in plan["sampling"]] == [
        ("Fake", 12, 4),
        ("rank=4", 12, 4),
        ("rank=8", 12, 4),
    ]
    assert plan["scoring"]["prompts"] == 12
    assert trained == []
    assert not Path("r").exists()
    assert ablate("--dry-run") == 0
    assert "rank=8\tmini-vcm\t400\t400\t3200" in capsys.readouterr().out


def test_an_absent_reward_model_is_a_note_not_a_zero(
    trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURBO_EVAL_WEIGHTS_DIR", "nowhere")
    text = FILE.replace('"fake-brightness"', '"fake-brightness", "pickscore"')
    Path("two.toml").write_text(text, encoding="utf-8")
    assert ablate() == 0
    found = json.loads(Path("r/ablation/ablation.json").read_text())
    assert any("no reward pickscore" in note for note in found["notes"])
    assert "reward.pickscore" not in found["rows"][0]["measures"]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("suite.json", "nowhere.json"), 5, "nowhere.json"),
        (('"color"', '"colr"'), 2, "did you mean color"),
        (('judges = "fake"', 'judges = "fak"'), 2, "did you mean fake"),
        (('"fake-brightness"', '"fake-brightnes"'), 2, "did you mean fake-brightness"),
        (('model = "fake"', 'model = "fakee"'), 2, "did you mean fake"),
        (('reference = "Fake"', 'reference = "Fkae"'), 2, "did you mean Fake"),
        (("description", "descriptions"), 3, "did you mean description"),
        (("[4, 8]", "[]"), 3, "is empty"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(
    trained: list[str], capsys: Capture, change: tuple[str, str], code: int, words: str
) -> None:
    Path("two.toml").write_text(FILE.replace(*change), encoding="utf-8")
    assert ablate() == code
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert trained == []


def test_unknown_names_and_presets(capsys: Capture) -> None:
    assert command(["ablate", "reward-mx"]) == 2
    assert "did you mean reward-mix" in capsys.readouterr().err
    assert command(["ablate", "reward-mix", "--preset", "quik"]) == 2
    assert "did you mean quick" in capsys.readouterr().err


@pytest.mark.slow
def test_two_real_students_end_to_end(capfd: Capture) -> None:
    Path("real.toml").write_text(
        'limit = 2\ndimensions = ["scene"]\n'
        '[base]\nconfig = "mini-vcm"\n'
        'set = { steps = 1, batch_size = 1, "data.pool" = 16, "lora.rank" = 2 }\n'
        '[grid]\n"optimizer.lr" = [1e-4, 1e-3]\n'
        "[sampling]\nsteps = [1]\n",
        encoding="utf-8",
    )
    words = ["ablate", "real.toml", "--no-measure", "--run", "r", "--threads", "1"]
    assert command([*words, "--device", "cpu"]) == 0, capfd.readouterr().err
    found = json.loads(Path("r/ablation/ablation.json").read_text())
    first, second = found["rows"]
    assert [row["name"] for row in found["rows"]] == ["lr=0.0001", "lr=0.001"]
    assert first["training"]["steps"] == second["training"]["steps"] == 1
    # The same noise, data and start: only the learning rate differs, and it shows in the weights.
    weights = [Path(f"r/students/{name}/lora.safetensors").read_bytes() for name in
               ("lr-0.0001", "lr-0.001")]  # fmt: skip
    assert weights[0] != weights[1]
    assert first["training"]["last"]["distillation"] == second["training"]["last"]["distillation"]
    assert first["measures"]["scene"]["n"] == 2
    # Nothing is done again.
    before = Path("r/students/lr-0.0001/student.json").stat().st_mtime_ns
    assert command([*words, "--device", "cpu"]) == 0
    assert Path("r/students/lr-0.0001/student.json").stat().st_mtime_ns == before


def test_the_trainer_is_asked_for_its_own_plan() -> None:
    ablation = spec.load("two.toml").preset("quick")
    made = trainer.resolve(grid.variants(ablation)[:1], Path("r"))
    [fact] = trainer.plans(made)
    assert (fact["steps"], fact["recipe"]) == (5, "vcm")
    assert 0 < fact["trained_parameters"] < fact["teacher_parameters"]
