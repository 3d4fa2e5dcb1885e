"""`turbo-eval prompts`: data on stdout, the rest on stderr, documented exit codes."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from turbo_eval.cli.main import run
from turbo_eval.prompts.manifest import data_root

ROWS: list[dict[str, Any]] = [
    {"prompt": "a red ball", "auxiliary_info": {"color": {"color": "red"}}},
    {"prompt": "two\nlines \U0001f600 ../x", "dimension": ["temporal_style"]},
    {"prompt": "a red ball", "dimension": ["scene"]},
]


@pytest.fixture(autouse=True)
def _own_home(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_installed_vbench: None,  # noqa: ARG001 - wanted for what it does
) -> None:
    monkeypatch.setenv("TURBO_EVAL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TURBO_EVAL_VBENCH_INFO", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(ROWS))
    return path


def call(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    code = run(["prompts", *map(str, args)])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "list")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in lines[1:5]] == [
        "mini",
        "vbench",
        "vbench:category:NAME",
        "evalcrafter",
    ]
    assert lines[-1].startswith("custom:FILE")
    assert all(line == line.rstrip() for line in lines)
    code, out, _ = call(capsys, "list", "--json")
    evalcrafter = next(row for row in json.loads(out) if row["name"] == "evalcrafter")
    assert code == 0
    assert evalcrafter["ready"] is False
    assert "prompts sync --from" in evalcrafter["how"]
    assert evalcrafter["prompts"] == 700


def test_show_prints_a_prompt_a_line(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    code, out, err = call(capsys, "show", f"custom:{file}")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "two\\nlines \U0001f600 ../x" in out
    assert "custom: 2 prompts" in err
    assert "entry 3 repeats mine.json, entry 1" in err


def test_show_json_is_the_whole_of_stdout(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    code, out, _ = call(capsys, "show", "custom", "--file", file, "--json")
    suite = json.loads(out)
    assert code == 0
    assert out.isascii()
    assert suite["prompts"][1]["text"] == ROWS[1]["prompt"]
    assert suite["prompts"][0]["auxiliary"] == {"color": {"color": "red"}}
    assert suite["checksum"] == sha256(file.read_bytes()).hexdigest()


def test_show_narrows(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    name = f"custom:{file}"
    assert "a red ball" in call(capsys, "show", name, "--dimension", "scene")[1]
    assert len(call(capsys, "show", name, "--limit", 1)[1].splitlines()) == 1
    assert "lines" in call(capsys, "show", name, "--prompts", "two*")[1]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["show", "vbnech"], 2, "did you mean vbench"),
        (["show", "FILE", "--dimension", "colour"], 2, "did you mean color"),
        (["show", "FILE", "--limit", "0"], 2, "at least 1"),
        (["show", "custom:absent.txt"], 5, "there is no such file"),
        (["show", "vbench"], 4, "pip install"),
        (["show", "evalcrafter"], 4, "prompts sync --from"),
        (["check", "evalcrafter"], 4, "prompts sync --from"),
        (["check", "FILE"], 5, "failed its check"),
        (["check", "--file", "x"], 2, "--file needs a suite"),
        (["sync"], 2, "sync needs a folder"),
        (["sync", "--from", "absent"], 5, "there is no such folder"),
    ],
)
def test_errors_are_one_line_with_their_code(
    capsys: pytest.CaptureFixture[str], file: Path, args: list[str], code: int, says: str
) -> None:
    found, out, err = call(capsys, *(f"custom:{file}" if arg == "FILE" else arg for arg in args))
    assert found == code
    last = err.splitlines()[-1]
    assert last.startswith("turbo-eval: ")
    assert says in last
    assert out == "" or "check" in args


def test_long_prompts_need_a_flag(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("short\n" + "x" * 10_000)
    code, _, err = call(capsys, "show", path)
    assert code == 5
    assert "long.txt, line 2: the prompt has 10000 characters" in err
    assert "--allow-long" in err
    assert call(capsys, "show", path, "--allow-long")[0] == 0


def test_check_reports_each_finding(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("a ball\na BALL\n")
    code, out, err = call(capsys, "check", path)
    assert code == 0
    assert [line.split()[2] for line in out.splitlines()] == [
        "count",
        "checksum",
        "ids",
        "facts",
        "coverage",
    ]
    assert "differ in capitals only" in err
    code, out, _ = call(capsys, "check", path, "--json")
    (record,) = json.loads(out)
    assert (code, record["failed"]) == (0, False)
    assert all(finding["passed"] for finding in record["findings"])


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for a clone of EvalCrafter, and a manifest that describes it."""
    folder = tmp_path / "EvalCrafter"
    folder.mkdir()
    (folder / "prompt700.txt").write_text("a cow \na cow")
    records = {f"{i:04d}": {"prompt": "a cow", "attributes": {}} for i in range(2)}
    (folder / "metadata.json").write_text(json.dumps(records))
    manifest = data_root() / "evalcrafter" / "manifest.toml"
    text = manifest.read_text().replace("= 700", "= 2")
    old = [line.split('"')[1] for line in text.splitlines() if line.startswith("sha256")]
    for digest, name in zip(old[1:], ("prompt700.txt", "metadata.json"), strict=True):
        text = text.replace(digest, sha256((folder / name).read_bytes()).hexdigest())
    root = tmp_path / "suites"
    (root / "evalcrafter").mkdir(parents=True)
    (root / "evalcrafter" / "manifest.toml").write_text(text)
    (root / "vbench").symlink_to(data_root() / "vbench")
    monkeypatch.setattr("turbo_eval.prompts.manifest.data_root", lambda: root)
    return folder


def test_sync_then_show_and_check(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, clone: Path
) -> None:
    code, out, err = call(capsys, "sync", "--from", clone)
    assert code == 0
    assert out.startswith("evalcrafter: 2 files copied, 0 already there")
    assert "do not redistribute" in err
    assert (tmp_path / "home/prompts/evalcrafter/prompts700.txt").is_file()
    code, out, _ = call(capsys, "sync", "evalcrafter", "--from", clone, "--json")
    assert json.loads(out)[0]["unchanged"] == ["prompts700.txt", "metadata.json"]
    code, out, err = call(capsys, "show", "evalcrafter")
    assert (code, len(out.splitlines())) == (0, 2)
    assert "1 texts occur twice" in err
    assert call(capsys, "check", "evalcrafter")[0] == 0


def test_check_of_all_goes_on_after_a_damaged_suite(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    clone: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("turbo_eval.cli.prompts_cmd.NAMES", ("vbench", "evalcrafter"))
    assert call(capsys, "check")[0] == 0
    call(capsys, "sync", "--from", clone)
    (tmp_path / "home/prompts/evalcrafter/metadata.json").write_text("{}")
    code, out, err = call(capsys, "check")
    assert code == 5
    assert "suite evalcrafter failed its check" in err
    assert out.splitlines()[0].split()[:2] == ["vbench", "absent"]
    assert "is not the published file" in out


def test_emoji_do_not_crash_a_terminal_without_them(file: Path) -> None:
    program = "import sys; from turbo_eval.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, "prompts", "show", f"custom:{file}"],
        check=False,
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    assert done.returncode == 0
    assert b"\\U0001f600" in done.stdout


def test_no_heavy_library_is_imported(file: Path) -> None:
    program = (
        "import sys; from turbo_eval.cli.main import run; run(sys.argv[1:]); "
        "print(sorted({'torch', 'pandas', 'pyarrow', 'matplotlib', 'vbench'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "prompts", "show", f"custom:{file}"],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONIOENCODING": "utf-8", "PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    assert done.stdout.splitlines()[-1] == "[]"
