"""Training data from folders of videos, with captions in a table or beside each video."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from turbo_eval.core.errors import InputError
from turbo_eval.core.hashing import content_key
from turbo_train.data.captions import NO_CAPTION, checked, read_table
from turbo_train.data.frames import VIDEOS, read_clip
from turbo_train.data.samples import BrokenSample, Sample
from turbo_train.data.settings import DataSettings

TABLES = ("captions.csv", "captions.jsonl")
OUTSIDE = "has a path that leads out of its folder"


@dataclass(frozen=True, slots=True)
class _Found:
    """One sample as listed: exactly one of `text`, `side` and `fault` tells of its caption."""

    key: str
    folders: tuple[Path, ...] = ()
    name: str = ""
    text: str | None = None
    side: bool = False
    fault: str = ""


class FolderSamples:
    """Videos of one or several folders in the order of their table or of their names.

    With a table the samples are its rows, wherever in the folders their videos lie; without one
    they are the video files, each with its caption in a .txt of the same name.

    Args:
        settings: `path`, `captions`, `fps`, `choice` and `resize` count.
        frames: Frames of a clip.
        height: Rows of a frame.
        width: Columns of a frame.
        fps: Frames a second that the teacher makes.

    Raises:
        InputError: A folder or table is missing or unreadable, or a column is missing.
    """

    def __init__(
        self, settings: DataSettings, *, frames: int, height: int, width: int, fps: float
    ) -> None:
        self.where = ", ".join(settings.path)
        self._settings = settings
        self._read = partial(
            read_clip,
            frames=frames,
            height=height,
            width=width,
            fps=settings.fps or fps,
            choice=settings.choice,
            resize=settings.resize,
        )
        folders = [Path(path) for path in settings.path]
        for folder in folders:
            if not os.path.isdir(folder):
                raise InputError(f"{folder} is no folder", fix="check data.path")
        if settings.captions is not None:
            self._found = _from_table(_table(settings.captions, folders), folders)
        else:
            self._found = [found for folder in folders for found in _from_folder(folder, folders)]

    def __len__(self) -> int:
        return len(self._found)

    def key(self, index: int) -> str:
        """The video's path within its folder, or the table's line where it has none."""
        return self._found[index].key

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """Decode the clip; see `Samples.read`."""
        found = self._found[index]
        if found.fault:
            raise BrokenSample(found.fault)
        path = _existing(found)
        caption = checked(_side(path) if found.side else found.text)
        return Sample(caption, pixels=self._read(path, rng=rng))

    def describe(self) -> dict[str, object]:
        """Kind, paths, table, and a key of the list of samples."""
        return {
            "kind": "folder",
            "path": list(self._settings.path),
            "captions": self._settings.captions,
            "key": content_key([(found.key, found.text, found.fault) for found in self._found]),
        }


def _table(name: str, folders: Sequence[Path]) -> Path:
    given = Path(name)
    inside = [folder / name for folder in folders]
    return next((path for path in (given, *inside) if os.path.isfile(path)), given)


def _from_folder(folder: Path, folders: Sequence[Path]) -> list[_Found]:
    for name in TABLES:
        if os.path.isfile(folder / name):
            return _from_table(folder / name, [folder])
    names = []

    def refused(error: OSError) -> None:
        why = error.strerror or str(error)
        raise InputError(f"cannot read {folder}", why=why, fix="check its permissions")

    for parent, inner, files in os.walk(folder, onerror=refused):
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in files:
            if Path(name).suffix.lower() in VIDEOS and not name.startswith("."):
                names.append(Path(parent, name).relative_to(folder).as_posix())
    prefix = f"{folder.name}/" if len(folders) > 1 else ""
    return [_Found(_shown(prefix + name), (folder,), name, side=True) for name in sorted(names)]


def _from_table(table: Path, folders: Sequence[Path]) -> list[_Found]:
    found = []
    for row in read_table(table):
        fault = row.fault or ("" if (row.path or "").strip() else "has no path")
        if fault or row.path is None:
            found.append(_Found(row.where, fault=fault))
            continue
        if not _possible(row.path):
            found.append(_Found(row.where, fault="has an impossible path"))
            continue
        name = os.path.normpath(row.path.strip())
        within = [folder for folder in folders if _within(folder, name)]
        fault = "" if within else OUTSIDE
        found.append(_Found(_shown(name), tuple(within), name, row.caption, fault=fault))
    return found


def _possible(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _within(folder: Path, name: str) -> bool:
    """Whether a path, as it is written, stays in the folder; links in the folder are trusted."""
    root = os.path.abspath(folder)
    return os.path.commonpath([root, os.path.abspath(os.path.join(root, name))]) == root


def _existing(found: _Found) -> Path:
    paths = [folder.absolute() / found.name for folder in found.folders]
    return next((path for path in paths if os.path.lexists(path)), paths[0])


def _side(video: Path) -> bytes:
    try:
        return video.with_suffix(".txt").read_bytes()
    except FileNotFoundError:
        raise BrokenSample(NO_CAPTION, f"there is no {video.with_suffix('.txt').name}") from None
    except OSError as error:
        raise BrokenSample("has a caption that cannot be read", error.strerror or "") from None


def _shown(name: str) -> str:
    """A file name as text that can be written anywhere, whatever its bytes."""
    return os.fsencode(name).decode("utf-8", "replace")
