"""A program as a text-to-video system."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from turbo_eval.core.errors import InputError, PrerequisiteError, TurboError, UsageError
from turbo_eval.models import Sampler, load
from turbo_eval.models.command import CommandTextToVideo

ONE = Sampler(steps=3, guidance=2.0)

DRAW = """
import json, sys
import numpy as np
print("ready", file=sys.stderr, flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    draw = np.random.default_rng([ask["seed"], len(ask["prompt"])])
    size = (ask["frames"] or 2, ask["height"] or 6, ask["width"] or 8, 3)
    np.save(ask["path"], draw.integers(0, 256, size, dtype=np.uint8))
    print(json.dumps({"ok": True}), flush=True)
"""

LOOP = """
import json, sys, os, time
for number, line in enumerate(sys.stdin):
    ask = json.loads(line)
    BODY
"""


@pytest.fixture
def program(tmp_path: Path) -> Any:
    """Write a program and open it with settings."""
    made: list[CommandTextToVideo] = []

    def write(text: str, settings: str = "format=npy", name: str = "draw.py") -> CommandTextToVideo:
        path = tmp_path / name
        path.write_text(text)
        system = load(f"command:{sys.executable} {path}" + (f":{settings}" if settings else ""))
        assert isinstance(system, CommandTextToVideo)
        made.append(system)
        return system

    yield write
    for system in made:
        system.close()


def body(text: str) -> str:
    return LOOP.replace("BODY", text)


def test_a_program_draws_and_is_started_once(program: Any) -> None:
    system = program(DRAW, "format=npy,frames=4,size=8x6,fps=12,steps=5,guidance=3,licence=MIT")
    info = system.info
    assert (info.frames, info.width, info.height, info.fps) == (4, 8, 6, 12)
    assert (info.steps, info.guidance, info.licence, info.batch) == (5, 3, "MIT", 1)
    clips = system.generate(["a cat", "a dog runs"], [1, 2], ONE)
    assert clips.shape == (2, 4, 6, 8, 3)
    first = system._program
    assert np.array_equal(system.generate(["a dog runs"], [2], ONE)[0], clips[1])
    assert system._program is first
    system.close()
    assert system._program is None


def test_the_line_says_everything(program: Any, tmp_path: Path) -> None:
    copy = tmp_path / "asked.jsonl"
    text = DRAW.replace("ask = json", f"open({str(copy)!r}, 'a').write(line); ask = json")
    system = program(text, "format=npy,fps=10,negative=blurry, grey,size=8x6")
    system.generate(["a “quoted” cat\nand a dog"], [7], ONE)
    import json

    asked = json.loads(copy.read_text())
    path = Path(asked.pop("path"))
    assert path.suffix == ".npy"
    assert not path.exists(), "the file is taken away when it is read"
    assert asked == {
        "version": 1,
        "prompt": "a “quoted” cat\nand a dog",
        "negative": "blurry, grey",
        "seed": 7,
        "steps": 3,
        "guidance": 2.0,
        "width": 8,
        "height": 6,
        "frames": None,
        "fps": 10.0,
        "device": "cpu",
        "dtype": "float32",
    }


def test_a_video_file_is_decoded(program: Any) -> None:
    text = body(
        "import numpy as np; from pathlib import Path\n"
        "    from turbo_eval.video.encode import encode\n"
        "    encode(np.full((3, 16, 16, 3), 200, np.uint8), ask['fps'], Path(ask['path']))\n"
        "    print(json.dumps({'ok': True}), flush=True)"
    )
    clip = program(text, "").generate(["a cat"], [1], ONE)
    assert clip.shape == (1, 3, 16, 16, 3)
    assert np.abs(clip.astype(int) - 200).max() < 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.exit('no weights here')", "exit code 1.*no weights here"),
        (body("raise RuntimeError('too hot')"), "exit code 1.*too hot"),
        (body("print('done', flush=True)"), "answered 'done'.*JSON object"),
        (body("print(json.dumps([1]), flush=True)"), "JSON object"),
        (body("print(json.dumps({'ok': False, 'error': 'no'}), flush=True)"), "drew no clip: no"),
        (body("print(json.dumps({'ok': True}), flush=True)"), "and did not: there is no such file"),
        (
            body("open(ask['path'], 'w'); print(json.dumps({'ok': True}), flush=True)"),
            "the file is empty",
        ),
        (
            body("open(ask['path'], 'w').write('x'); print(json.dumps({'ok': 1}), flush=True)"),
            "holds no array",
        ),
        (DRAW.replace('(ask["frames"] or 2', "(1"), "1 frames of 8x6.*2 frames"),
        (DRAW.replace("uint8)", "uint8) / 255"), "no video"),
    ],
)
def test_what_a_program_does_wrong_is_one_clear_error(text: str, said: str, program: Any) -> None:
    system = program(text, "format=npy,frames=2,timeout=60")
    with pytest.raises(InputError, match=said) as caught:
        system.generate(["a cat"], [1], ONE)
    assert "\n" not in str(caught.value)


def test_a_failed_clip_does_not_end_the_next_one(program: Any) -> None:
    text = DRAW.replace("draw = ", "assert ask['seed'] != 1, 'unlucky'\n    draw = ")
    system = program(text)
    with pytest.raises(InputError, match="unlucky"):
        system.generate(["a cat"], [1], ONE)
    assert system.generate(["a cat"], [2], ONE).shape == (1, 2, 6, 8, 3)


def test_a_program_that_hangs_is_ended_with_what_it_started(program: Any, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    text = body(
        f"import subprocess; child = subprocess.Popen(['sleep', '600'])\n"
        f"    open({str(note)!r}, 'w').write(str(child.pid)); time.sleep(600)"
    )
    system = program(text, "timeout=2")
    with pytest.raises(InputError, match="not answered after 2 seconds.*timeout=SECONDS"):
        system.generate(["a cat"], [1], ONE)
    child = int(note.read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or _is_zombie(child):
            return
        time.sleep(0.05)
    pytest.fail("the program's child is still running")


def _is_zombie(pid: int) -> bool:
    try:
        return ") Z" in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_clips_of_different_shapes_are_refused(program: Any) -> None:
    system = program(DRAW.replace('ask["frames"] or 2', "ask['seed']"))
    with pytest.raises(InputError, match="2 shapes"):
        system.generate(["a", "b"], [1, 2], ONE)


def test_names_that_cannot_be(tmp_path: Path) -> None:
    cases: list[tuple[str, type[TurboError], str]] = [
        ("command:", UsageError, "names no program"),
        ("command:'draw", UsageError, "cannot be split"),
        ("command:no-such-program x", PrerequisiteError, "not found"),
        ("command:cat:speed=9", UsageError, "setting"),
        ("command:cat:format=avi", UsageError, "format"),
        ("command:cat:timeout=0", UsageError, "above 0"),
    ]
    for name, kind, said in cases:
        with pytest.raises(kind, match=said):
            load(name)
    text = tmp_path / "text"
    text.write_text("x")
    with pytest.raises(PrerequisiteError, match="chmod"):
        load(f"command:{text}")


def test_the_key_follows_the_files_that_are_named(program: Any) -> None:
    first = program(DRAW).fingerprint()
    assert program(DRAW).fingerprint() == first
    assert program(DRAW, "format=npy,timeout=5").fingerprint() == first
    assert program(DRAW, "format=npy,version=2").fingerprint() != first
    assert program(DRAW + "#", "format=npy").fingerprint() != first


def test_the_program_ends_with_its_owner(program: Any) -> None:
    system = program(DRAW)
    system.generate(["a cat"], [1], ONE)
    process = system._program._process
    system.close()
    assert process.poll() == 0, "its input ended, so it ended by itself"
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
