"""Training data from WebDataset shards in WebVid's layout: mp4 and txt under one key."""

import tempfile
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path

import numpy as np

from turbo_eval.core.errors import InputError
from turbo_eval.core.hashing import content_key
from turbo_train.data.captions import NO_CAPTION, checked
from turbo_train.data.fetch import fetch
from turbo_train.data.frames import read_clip
from turbo_train.data.samples import BrokenSample, Sample
from turbo_train.data.settings import DataSettings
from turbo_train.data.shards import Entry, cached_index, resolve

_SHARDS_KEPT = 64


class ShardSamples:
    """The samples of all shards, in the order of the shards.

    Every shard is listed once and the list is kept in the cache folder, so any sample can be read
    directly. Remote shards are downloaded when this object is made.

    Args:
        settings: `path`, `fps`, `choice` and `resize` count.
        frames: Frames of a clip.
        height: Rows of a frame.
        width: Columns of a frame.
        fps: Frames a second that the teacher makes.
        folder: The cache: `shards` and `index` in it.

    Raises:
        InputError: A shard is missing or no tar file.
        PrerequisiteError: A shard cannot be downloaded, or the cache not be written.
    """

    def __init__(
        self,
        settings: DataSettings,
        *,
        frames: int,
        height: int,
        width: int,
        fps: float,
        folder: Path,
    ) -> None:
        self.where = ", ".join(settings.path)
        self._settings = settings
        self._decode = partial(
            read_clip,
            frames=frames,
            height=height,
            width=width,
            fps=settings.fps or fps,
            choice=settings.choice,
            resize=settings.resize,
        )
        self._shards = resolve(settings.path, lambda url: fetch(url, folder / "shards"))
        self._entries: Callable[[int], list[Entry]] = lru_cache(_SHARDS_KEPT)(
            lambda shard: cached_index(self._shards[shard][1], folder / "index")
        )
        counts = []
        contents = []
        for shard in range(len(self._shards)):
            entries = self._entries(shard)
            counts.append(len(entries))
            contents.append(content_key([(entry.key, entry.video) for entry in entries]))
        self._ends = list(accumulate(counts))
        self._content = content_key(contents)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _at(self, index: int) -> tuple[int, Entry]:
        shard = bisect_right(self._ends, index)
        first = self._ends[shard - 1] if shard else 0
        return shard, self._entries(shard)[index - first]

    def key(self, index: int) -> str:
        """Shard and key within it."""
        shard, entry = self._at(index)
        return f"{Path(self._shards[shard][0]).name}/{entry.key}"

    def read(self, index: int, rng: np.random.Generator) -> Sample:
        """Decode the clip; see `Samples.read`."""
        shard, entry = self._at(index)
        path = self._shards[shard][1]
        if entry.fault or entry.video is None:
            raise BrokenSample(entry.fault)
        if entry.text is None:
            raise BrokenSample(NO_CAPTION)
        caption = checked(_bytes(path, entry.text))
        # The decoder reads files by name, so that FFmpeg is given nothing but regular files.
        with tempfile.NamedTemporaryFile(suffix=entry.ending) as file:
            file.write(_bytes(path, entry.video))
            file.flush()
            return Sample(caption, pixels=self._decode(Path(file.name), rng=rng))

    def describe(self) -> dict[str, object]:
        """Kind, paths, number of shards, and a key of the list of samples."""
        return {
            "kind": "webdataset",
            "path": list(self._settings.path),
            "shards": len(self._shards),
            "key": self._content,
        }


def _bytes(path: Path, place: tuple[int, int]) -> bytes:
    offset, size = place
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"cannot read the shard {path}", why=why) from error
    if len(data) != size:
        raise InputError(f"the shard {path} was changed while it was used", fix="start again")
    return data
