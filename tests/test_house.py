"""Rules of the house that no linter checks."""

import ast
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("turbo_eval", "turbo_train")
HEAVY = {"torch", "pandas", "matplotlib", "diffusers", "transformers", "scipy", "cv2", "av"}
HARD_CAP = 500
# Folders of tests that look across packages (design.md, section 1) instead of into one.
CROSS = {"golden", "property", "resume", "browser", "gpu"}
# Hosts of the package registries, written apart so that this file does not hold them either.
HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry.npm" + "js.org",
    "deb.de" + "bian.org",
    "download.py" + "torch.org",
]
MACHINE_PATHS = re.compile("/wo" + r"rk/(main|shared|venv|notes)\b")


def _tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def _sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


@pytest.mark.parametrize(
    "args", [["--help"], ["list", "suites"], ["config", "show"], ["list", "metrics"]]
)
def test_light_commands_import_nothing_heavy(args: list[str]) -> None:
    program = (
        "import sys\n"
        "from turbo_eval.cli.main import run\n"
        f"code = run({args!r})\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert HEAVY.isdisjoint(done.stderr.split())


def test_help_answers_at_once() -> None:
    command = [sys.executable, "-m", "turbo_eval.cli.main", "--help"]
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # Processor time, because other programs on a busy machine stretch the clock; on an idle one
    # the two agree for a program that waits for nothing.
    assert min(seconds) < 0.5


def test_files_stay_below_the_hard_cap() -> None:
    files = [*_sources(), *sorted((ROOT / "tests").rglob("*.py"))]
    long = {
        str(path.relative_to(ROOT)): count
        for path in files
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > HARD_CAP
    }
    assert long == {}


def _calls(path: Path, names: set[str]) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ]


def test_only_the_command_line_prints() -> None:
    allowed = (
        ROOT / "turbo_eval" / "cli",
        *(ROOT / "turbo_train" / name for name in ("cli.py", "commands.py")),
    )
    found = [
        call
        for path in _sources()
        if not any(path == place or place in path.parents for place in allowed)
        for call in _calls(path, {"print"})
    ]
    assert found == []


def _imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize(
    ("library", "room"),
    [("subprocess", "launch"), ("multiprocessing", "launch"), ("av", "video")],
)
def test_one_room_for_each_power(library: str, room: str) -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in _sources()
        if library in _imported(path) and (ROOT / "turbo_eval" / room) not in path.parents
    ]
    assert found == []


def _mirrored(folder: Path) -> list[Path]:
    """Where the code lies that the tests in this folder (below tests/) may be about."""
    within = folder.relative_to("train") if folder.parts[0] == "train" else folder
    return [ROOT / "turbo_eval" / folder, ROOT / "turbo_train" / within, ROOT / folder]


def test_test_folders_mirror_packages() -> None:
    files = (ROOT / "tests").rglob("test_*.py")
    folders = {path.parent.relative_to(ROOT / "tests") for path in files}
    strays = [
        str(folder)
        for folder in folders
        if folder.parts
        and folder.parts[0] not in CROSS
        and not any(place.is_dir() for place in _mirrored(folder))
    ]
    assert strays == []


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    # A person without a browser may say so by name; nobody is asked to guess, CI never says it.
    allowed = {Path(__file__).resolve(), ROOT / "tests" / "browser" / "conftest.py"}
    marks = re.compile(r"pytest\.(?:mark\.)?(?:skip|xfail)\b|importorskip")
    found = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path not in allowed and marks.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_file_names_a_registry_host_or_a_machine_path() -> None:
    found = []
    for path in _tracked():
        text = _text(path)
        if text is None:
            continue
        found += [f"{path.relative_to(ROOT)}: {host}" for host in HOSTS if host in text]
        if MACHINE_PATHS.search(text):
            found.append(f"{path.relative_to(ROOT)}: a path of one machine")
    assert found == []


def test_every_variable_is_known_and_documented() -> None:
    from turbo_eval.config import RunConfig, environment_name
    from turbo_eval.config.resolve import OTHER_VARIABLES

    known = {environment_name(key) for key in RunConfig.model_fields} | set(OTHER_VARIABLES)
    # Whole string constants only; a prefix ends in an underscore.
    used = {
        name
        for path in _sources()
        for name in re.findall(r"""["'](TURBO_EVAL_[A-Z_]*[A-Z])["']""", path.read_text("utf-8"))
    }
    assert used <= known


def test_version_and_typing_marker_are_there() -> None:
    import turbo_eval

    assert re.fullmatch(r"\d+\.\d+\.\d+", turbo_eval.__version__)
    for package in PACKAGES:
        assert os.path.exists(ROOT / package / "py.typed")
