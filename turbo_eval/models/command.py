"""Any program as a text-to-video system: it is given a JSON line per clip and writes a file.

`command:PROGRAM ARGUMENTS` starts the program once (no shell is involved) and keeps it. For every
clip it gets one line on its standard input and answers with one line on its standard output when
the file is written. What it prints on standard error goes to the run's log. The protocol, version
1, with an example, is in docs/models.md.
"""

import shlex
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError
from turbo_eval.core.hashing import content_key, file_sha256
from turbo_eval.launch.program import Program
from turbo_eval.models.protocol import Frames, ModelInfo, Sampler
from turbo_eval.models.settings import Settings
from turbo_eval.video.clip import check_frames
from turbo_eval.video.read import decode

PREFIX: Final = "command:"
VERSION: Final = 1
SETTINGS: Final = (
    "frames", "size", "fps", "negative", "steps", "guidance", "licence", "format", "timeout",
    "version",
)  # fmt: skip
FORMATS: Final = ("mp4", "npy", "gif", "webm", "mov")
TIMEOUT: Final = 3600.0
"""Seconds that a program may take for one clip; the first one includes its start."""


def known_settings(name: str) -> tuple[str, ...]:  # noqa: ARG001 (all programs take the same)
    """The settings of a program."""
    return SETTINGS


def open_command(
    name: str, values: dict[str, str], *, weights_dir: Path | None, device: str, dtype: str
) -> "CommandTextToVideo":
    """Look the program up; it is started when the first clip is asked for.

    Args:
        name: `command:PROGRAM ARGUMENTS`, split as a shell would.
        values: Settings, see `SETTINGS`.
        weights_dir: Told to the program as TURBO_EVAL_WEIGHTS_DIR.
        device: Told to the program.
        dtype: Told to the program.

    Raises:
        UsageError: There is no command, or a setting cannot be.
        PrerequisiteError: The program is not found, or cannot be run.
    """
    settings = Settings(name, values).only(SETTINGS)
    try:
        words = shlex.split(name.removeprefix(PREFIX))
    except ValueError as error:
        raise UsageError(
            f"{name} cannot be split into words", why=str(error), fix="close the quotes"
        ) from None
    if not words:
        raise UsageError("command: names no program", fix="write --model 'command:python draw.py'")
    program = shutil.which(words[0])
    if program is None:
        raise PrerequisiteError(
            f"program {words[0]} is not found",
            why="it is neither a file that can be run nor on the PATH",
            fix="check the name, or make the file executable (chmod +x)",
        )
    return CommandTextToVideo(
        settings, [program, *words[1:]], weights_dir=weights_dir, device=device, dtype=dtype
    )


class CommandTextToVideo:
    """A program that draws clips (see `TextToVideo`)."""

    def __init__(
        self,
        settings: Settings,
        words: Sequence[str],
        *,
        weights_dir: Path | None,
        device: str,
        dtype: str,
    ) -> None:
        self._settings, self._words = settings, list(words)
        self._weights_dir, self._device, self._dtype = weights_dir, device, dtype
        self._timeout = settings.number("timeout", TIMEOUT)
        self._format = settings.choice("format", FORMATS) or "mp4"
        width, height = settings.size((0, 0))
        self._info = ModelInfo(
            name=settings.spelled,
            width=width,
            height=height,
            frames=settings.whole("frames", 0),
            fps=settings.number("fps", 8.0),
            steps=settings.whole("steps", 1),
            guidance=settings.number("guidance", 1.0),
            licence=settings.text("licence"),
            batch=1,
        )
        self._program: Program | None = None

    @property
    def info(self) -> ModelInfo:
        """What the settings tell; a size or length of 0 is the program's own."""
        return self._info

    def fingerprint(self) -> str:
        """Content key of the command, the files named in it, and the setting `version`.

        Files that the program reads by itself are not known here: a user changes `version` when
        they change.
        """
        files = [file_sha256(Path(word)) for word in self._words if Path(word).is_file()]
        told = {k: v for k, v in self._settings.values.items() if k not in {"timeout", "licence"}}
        names = [Path(word).name for word in self._words]
        return content_key("command", VERSION, names, files, told, self._dtype)

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], sampler: Sampler) -> Frames:
        """Draw one clip per (prompt, seed): uint8 [B, T, H, W, 3]; see `TextToVideo.generate`.

        Raises:
            InputError: The program failed, took too long, or wrote no proper file.
        """
        with tempfile.TemporaryDirectory(prefix="turbo-eval-") as folder:
            clips = [
                self._one(prompt, seed, sampler, Path(folder) / f"{number}.{self._format}")
                for number, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
            ]
        shapes = {clip.shape for clip in clips}
        if len(shapes) > 1:
            raise InputError(
                f"{self._words[0]} wrote clips of {len(shapes)} shapes",
                why=", ".join(map(str, sorted(shapes))),
                fix="write every clip with the same length and size",
            )
        return np.stack(clips)

    def close(self) -> None:
        """End the program, if it runs."""
        if self._program is not None:
            self._program.close()
            self._program = None

    def _one(self, prompt: str, seed: int, sampler: Sampler, path: Path) -> Frames:
        info = self._info
        request = {
            "version": VERSION,
            "prompt": prompt,
            "negative": self._settings.text("negative"),
            "seed": seed,
            "steps": sampler.steps,
            "guidance": sampler.guidance,
            "width": info.width or None,
            "height": info.height or None,
            "frames": info.frames or None,
            "fps": info.fps,
            "device": self._device,
            "dtype": self._dtype,
            "path": str(path),
        }
        if self._program is None:
            self._program = Program(self._words, self._weights_dir)
            # Also when nobody calls `close`, and when the interpreter ends.
            weakref.finalize(self, self._program.close)
        try:
            self._program.ask(request, path, self._timeout)
        except InputError:
            # What state a program is in after a failure is not known; the next clip starts it anew.
            self.close()
            raise
        return self._read(path, (info.frames, info.height, info.width))

    def _read(self, path: Path, asked: tuple[int, int, int]) -> Frames:
        clip = _read_npy(path) if self._format == "npy" else decode(path).frames
        found = clip.shape[:3]
        wrong = [(a, f) for a, f in zip(asked, found, strict=True) if a and a != f]
        if wrong:
            raise InputError(
                f"{self._words[0]} wrote a clip of {found[0]} frames of {found[2]}x{found[1]}",
                why=f"{asked[0] or 'any number of'} frames of {asked[2] or 'any'}x"
                f"{asked[1] or 'any'} were asked for",
                fix="let the program keep to frames, width and height of the line",
            )
        return clip


def _read_npy(path: Path) -> Frames:
    try:
        return check_frames(np.load(path, allow_pickle=False), 1.0)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path.name} holds no array",
            why=str(error),
            fix="write uint8 frames [T, H, W, 3] with numpy.save",
        ) from None
