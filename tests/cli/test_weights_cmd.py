"""`turbo-eval weights`: what is there, what is missing, and what to type, on small real files."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from turbo_eval.backbones.judges import load_judges
from turbo_eval.backbones.official.files import ALL, BY_ID, FILES
from turbo_eval.cli.main import run
from turbo_eval.cli.official_checks import check_official
from turbo_eval.metrics.rewards import reward_names
from turbo_eval.models.published import SYSTEMS

Capture = pytest.CaptureFixture[str]
HEAD = BY_ID["aesthetic"]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TURBO_EVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VBENCH_CACHE_DIR", str(tmp_path / "vbench"))
    monkeypatch.delenv("TURBO_EVAL_WEIGHTS_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: Capture, *words: str) -> Any:
    assert run(["weights", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_names_every_file_with_its_terms(capsys: Capture) -> None:
    rows = said(capsys, "list")
    judges = [row["file"] for row in rows if row["group"] == "judges"]
    assert judges == [file.file for file in ALL]
    ids = {row["id"]: row["group"] for row in rows}
    assert len(ids) == len(rows)
    # What the lists of rewards and models name can be looked up here, but what needs no file of
    # its own: ViCLIP's is the judge's, the mini ones are in the package.
    named = {name for name in reward_names() if not name.startswith("mini-")} - {"viclip"}
    assert {name for name, group in ids.items() if group == "reward"} == named
    assert {name for name, group in ids.items() if group == "model"} == set(SYSTEMS)
    assert {row["state"] for row in rows} == {"missing"}
    assert all(row["licence"] and row["page"].startswith("https://") for row in rows)
    assert run(["weights", "list"]) == 0
    assert "turbo-eval weights pull" in capsys.readouterr().err


def test_random_files_are_made_found_verified_and_named_as_such(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = said(capsys, "random", "--seed", "7", "--into", "w", "--only", "aesthetic")
    assert made == {"seed": 7, "files": {HEAD.file: f"w/{HEAD.file}"}}
    (row,) = [r for r in said(capsys, "list", "--weights-dir", "w") if r["id"] == "aesthetic"]
    assert (row["state"], row["seed"]) == ("random", 7 + FILES.index(HEAD))
    monkeypatch.setenv("TURBO_EVAL_WEIGHTS_DIR", str(tmp_path / "w"))
    assert said(capsys, "where", "aesthetic")["files"] == {
        HEAD.file: str(tmp_path / "w" / HEAD.file)
    }
    (row,) = said(capsys, "verify", "aesthetic")
    assert row["state"] == "random"
    assert "ViT-L-14.pt is missing" in row["proof"]
    assert load_judges("official").name == "official-random"
    checks = {check.name: check for check in check_official()}
    assert checks["official aesthetic_quality"].fix == "turbo-eval weights pull clip-l14"


def test_the_folder_reaches_the_judges_and_only_those_that_take_it(
    tmp_path: Path, capsys: Capture
) -> None:
    said(capsys, "random", "--into", "w", "--only", "aesthetic")
    assert load_judges("official").name == "official"
    assert load_judges("official", weights_dir=tmp_path / "w").name == "official-random"
    assert load_judges("mini", weights_dir=tmp_path / "w").key == load_judges("mini").key


def test_where_leaves_with_4_and_the_command(capsys: Capture) -> None:
    assert run(["weights", "where", "raft", "dino"]) == 4
    assert "turbo-eval weights pull raft dino\n" in capsys.readouterr().err
    assert run(["weights", "where", "raft", "--weights-dir", "w"]) == 4
    assert "turbo-eval weights pull raft --weights-dir w\n" in capsys.readouterr().err
    assert run(["weights", "verify", "--weights-dir", "w"]) == 4
    assert "turbo-eval weights pull --weights-dir w\n" in capsys.readouterr().err


def test_files_of_rewards_and_models_are_found_by_name(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "w" / "t2v-turbo-vc2").mkdir(parents=True)
    (tmp_path / "w" / "t2v-turbo-vc2" / "unet_lora.pt").write_bytes(b"x")
    (tmp_path / "w" / "ImageReward.pt").write_bytes(b"x")
    names = ["imagereward", "t2v-turbo-vc2"]
    found = said(capsys, "where", *names, "--weights-dir", "w")["files"]
    assert found == {
        "ImageReward.pt": "w/ImageReward.pt",
        "t2v-turbo-vc2/unet_lora.pt": "w/t2v-turbo-vc2/unet_lora.pt",
    }
    for name, words in (
        ("internvideo2", "put it at w/Intern"),
        ("modelscope", "turbo-eval models pull ali-vilab/"),
    ):
        assert run(["weights", "pull", name, "--weights-dir", "w"]) == 4
        assert words in capsys.readouterr().err


def test_a_wrong_file_is_found(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    torch.save({"weight": torch.ones(1, 3)}, tmp_path / "w" / BY_ID["dino"].file)
    assert run(["weights", "verify", "dino", "--weights-dir", "w"]) == 6
    out, err = capsys.readouterr()
    assert "belong to another network" in out
    assert err.count("Fix: ") == 1
    assert "Fix: turbo-eval weights pull --again dino --weights-dir w\n" in err
    (tmp_path / "w" / "ViT-B-32.pt").write_bytes(b"half")
    assert run(["weights", "verify", "clip-b32", "--weights-dir", "w"]) == 6
    assert "is not the published ViT-B-32.pt" in capsys.readouterr().out


def test_a_file_that_needs_another_one_is_read_at_least(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    path = tmp_path / "w" / HEAD.file
    torch.save({"weight": torch.ones(1, 768), "bias": torch.ones(1)}, path)
    (row,) = said(capsys, "verify", "aesthetic", "--weights-dir", "w")
    assert row["state"] == "read"
    assert "ViT-L-14.pt is missing" in row["proof"]
    path.write_bytes(b"<html>sign in</html>")
    assert run(["weights", "verify", "aesthetic", "--weights-dir", "w"]) == 6
    assert "a web page" in capsys.readouterr().out


def test_one_file_that_cannot_be_pulled_is_told_once(capsys: Capture) -> None:
    assert run(["weights", "pull", "internvideo2", "--weights-dir", "w"]) == 4
    out, err = capsys.readouterr()
    assert err.count("has no address that a program may read") == 1
    assert out == "", "a head without a table is no data"
    names = ["internvideo2", "modelscope"]
    assert run(["weights", "pull", *names, "--weights-dir", "w"]) == 6
    said = capsys.readouterr().err
    assert [said.count(f"Failed: {name}") for name in ("InternVideo2", "text-to-video")] == [1, 1]
    assert said.endswith("Fix: turbo-eval weights pull internvideo2 modelscope --weights-dir w\n")


def test_a_wrong_file_that_lies_there_is_pulled_again_into_a_folder_of_any_name(
    capsys: Capture,
) -> None:
    folder = Path("my weights")
    folder.mkdir()
    (folder / BY_ID["amt"].file).write_bytes(b"PK\x03\x04 half")
    (folder / BY_ID["musiq"].file).write_bytes(b"other")
    named = ["--weights-dir", "my weights", "--from", "https://example.org/a b"]
    typed = "turbo-eval weights pull --from 'https://example.org/a b' --again {} --weights-dir "
    assert run(["weights", "pull", "amt", *named]) == 5
    said = capsys.readouterr().err
    assert "downloaded only in part" in said
    assert said.endswith(f"Fix: {typed.format('amt')}'my weights'\n")
    assert run(["weights", "pull", "amt", "musiq", *named]) == 6
    assert capsys.readouterr().err.endswith(f"Fix: {typed.format('amt musiq')}'my weights'\n")
    assert run(["weights", "where", "dino", "--weights-dir", "my weights"]) == 4
    assert capsys.readouterr().err.endswith("pull dino --weights-dir 'my weights'\n")


def test_a_mistyped_file_is_suggested(capsys: Capture) -> None:
    assert run(["weights", "where", "rafft"]) == 2
    assert "did you mean raft" in capsys.readouterr().err


def test_pull_refuses_plain_http(capsys: Capture) -> None:
    assert run(["weights", "pull", "dino", "--from", "http://example.org"]) == 2
    assert "only https" in capsys.readouterr().err


def test_every_dimension_says_what_it_lacks() -> None:
    checks = check_official()
    assert len(checks) == 16
    # One dimension compares pixels, and no network looks.
    ready = [check.name for check in checks if check.state != "warn"]
    assert ready == ["official temporal_flickering"]
    fixes = {check.name.removeprefix("official "): check.fix for check in checks}
    assert fixes["subject_consistency"] == "turbo-eval weights pull dino"
    assert fixes["scene"] == "turbo-eval weights pull tag2text bert-vocabulary"
