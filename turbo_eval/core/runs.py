"""The run folder: where everything of a run lies, frozen settings, claims between processes."""

import contextlib
import errno
import fcntl
import json
import os
import re
import socket
import tomllib
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from turbo_eval.core import provenance, records
from turbo_eval.core.errors import ConfigError, PrerequisiteError, from_os_error
from turbo_eval.core.hashing import blake
from turbo_eval.core.store import Table, sweep_temporary, write_bytes_atomic, write_json_atomic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance as Row

_SAFE_LENGTH = 100
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}


def safe_name(text: str) -> str:
    """A file name for any text: one path part, plain characters, at most 100 of them.

    Letters, digits, dot, dash and underscore stay. A text that had to be changed gets its
    content key appended, so that two texts do not meet in one name.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", text)
    if plain == text and 0 < len(text) <= _SAFE_LENGTH and text[0] not in ".-":
        return text
    return f"{plain.lstrip('.-_')[: _SAFE_LENGTH - 17] or 'name'}-{blake(text)}"


@contextlib.contextmanager
def exclusive(path: Path, *, blocking: bool = True) -> Iterator[bool]:
    """Hold an advisory lock on a file, released by the kernel even when the process is killed.

    The file tells who holds it (process and host) and is removed afterwards. A file that a killed
    process left behind holds no lock, so it never blocks anybody.

    Args:
        path: The lock file; made when missing.
        blocking: Wait for the lock; otherwise give up at once.

    Yields:
        Whether the lock is held. On a file system without locks always true: rows with the same
        key count once, so doing an item twice costs time only.

    Raises:
        PrerequisiteError: The lock file cannot be written.
    """
    handle: int | None = None
    try:
        handle, held = _lock(path, blocking)
    except OSError as error:
        raise from_os_error(error, path) from error
    try:
        yield held
    finally:
        if handle is not None:
            if held:
                with contextlib.suppress(OSError):
                    path.unlink()
            os.close(handle)


def _lock(path: Path, blocking: bool) -> tuple[int | None, bool]:
    path.parent.mkdir(parents=True, exist_ok=True)
    how = fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, how)
            # The holder before us may have removed the file between our open and our lock.
            if _same_file(handle, path):
                os.ftruncate(handle, 0)
                who = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
                os.pwrite(handle, who.encode(), 0)
                return handle, True
        except BlockingIOError:
            os.close(handle)
            return None, False
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return handle, True
            os.close(handle)
            raise
        os.close(handle)


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


class RunFolder:
    """One run on disk. Constructing it touches nothing.

    Args:
        path: The folder, e.g. runs/NAME.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def create_or_open(
        self,
        config: Mapping[str, Any],
        *,
        compare: Collection[str] | None = None,
        growing: Collection[str] = (),
    ) -> "RunFolder":
        """Make the folder and freeze the configuration, or check it against the frozen one.

        Args:
            config: The resolved configuration; written to run.toml at the first start. Nested
                mappings are allowed; None counts as absent, paths and tuples as text and lists.
            compare: The keys (dotted for nested ones) that change results and so must agree with
                the frozen configuration; all keys when None.
            growing: Keys of numbers that may become larger: that only adds to what is there. The
                larger number is frozen then.

        Returns:
            This object.

        Raises:
            ConfigError: The folder belongs to another configuration (the differing keys are
                listed), or its run.toml is damaged.
            PrerequisiteError: The folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise from_os_error(error, self.path) from error
        except ValueError as error:
            raise ConfigError(f"the run folder {self.path} has no possible name") from error
        with exclusive(self.path / ".run.lock"):
            if not self.exists():
                write_bytes_atomic(self._toml, tomli_w.dumps(_plain(config)).encode())
                return self
            self.check(config, compare=compare, growing=growing)
            frozen, now = self.config(), _plain(config)
            if grown := {k: now[k] for k in growing if k in now and now[k] != frozen.get(k)}:
                write_bytes_atomic(self._toml, tomli_w.dumps({**frozen, **grown}).encode())
        sweep_temporary(self.path)
        return self

    def check(
        self,
        config: Mapping[str, Any],
        *,
        compare: Collection[str] | None = None,
        growing: Collection[str] = (),
    ) -> None:
        """Compare a configuration with the frozen one; writes nothing.

        Raises:
            ConfigError: They differ (see `create_or_open`), or run.toml is damaged.
            PrerequisiteError: There is no run in the folder.
        """
        frozen, now = _flat(self.config()), _flat(_plain(config))
        keys = sorted({*frozen, *now})
        if compare is not None:
            keys = [k for k in keys if any(k == c or k.startswith(f"{c}.") for c in compare)]
        differing = [
            k
            for k in keys
            if frozen.get(k) != now.get(k)
            and not (k in growing and k in frozen and k in now and frozen[k] < now[k])
        ]
        if differing:
            facts = "; ".join(
                f"{k}: {_show(frozen, k)} there, {_show(now, k)} now" for k in differing
            )
            raise ConfigError(
                f"the run folder {self.path} was started with another configuration",
                why=facts,
                fix="use the settings it was started with, or another --run folder",
            )

    def open(self) -> "RunFolder":
        """Check that this is a run folder, for commands that only read.

        Raises:
            PrerequisiteError: There is no run in the folder.
        """
        if not self.exists():
            raise PrerequisiteError(
                f"{self.path} is not a run folder",
                why="it has no run.toml",
                fix="check the path, or start a run there with turbo-eval run --run",
            )
        return self

    def exists(self) -> bool:
        """Whether a run was started in this folder."""
        # Unlike Path.is_file, this says no to a name that cannot be, such as one too long.
        return os.path.isfile(self._toml)

    def config(self) -> dict[str, Any]:
        """The frozen configuration.

        Raises:
            PrerequisiteError: There is no run in the folder.
            ConfigError: run.toml is damaged.
        """
        self.open()
        try:
            return tomllib.loads(self._toml.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self._toml} cannot be read",
                why=str(error),
                fix="restore it, or choose another run folder",
            ) from error

    @cached_property
    def prompts(self) -> Table:
        """The prompts of the run, key prompt_id."""
        return self._table("prompts", records.PromptRow, "prompt_id")

    @cached_property
    def videos(self) -> Table:
        """The videos, key (model, video_id)."""
        return self._table("videos", records.VideoRow, "model", "video_id")

    @cached_property
    def features(self) -> Table:
        """The features, key (video_id, feature_key): some depend on the prompt, too."""
        return self._table("features", records.FeatureRow, "video_id", "feature_key")

    @cached_property
    def scores(self) -> Table:
        """The scores, key (model, video_id, metric, metric_version, judges)."""
        key = ("model", "video_id", "metric", "metric_version", "judges")
        return self._table("scores", records.ScoreRow, *key)

    @property
    def log_dir(self) -> Path:
        """The folder of logs, made when missing.

        Raises:
            PrerequisiteError: It cannot be made.
        """
        folder = self.path / "log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise from_os_error(error, folder) from error
        return folder

    @property
    def report_dir(self) -> Path:
        """The folder of the report; not made here."""
        return self.path / "report"

    def video_path(self, model: str, video_id: str) -> Path:
        """Where a video of a model lies; the model's name is made safe for the file system."""
        return self.path / "videos" / safe_name(model) / f"{safe_name(video_id)}.mp4"

    def feature_path(self, backbone: str, video_id: str) -> Path:
        """Where the arrays of a backbone for a video lie."""
        return self.path / "features" / safe_name(backbone) / f"{safe_name(video_id)}.safetensors"

    def relative(self, path: Path) -> str:
        """A path as rows store it: relative to the run folder when inside it, else absolute."""
        whole, root = path.absolute(), self.path.absolute()
        return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else str(whole)

    def resolve(self, stored: str) -> Path:
        """The path behind a stored one."""
        return self.path / stored

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Claim an item, so that two processes in this folder do not both do it.

        Args:
            key: What is claimed, e.g. "video:" + video id.

        Yields:
            True when the item is ours; False when a living process has it. A claim ends with its
            block or its process, however that dies.
        """
        with exclusive(self.path / ".claims" / blake(key), blocking=False) as held:
            yield held

    def write_provenance(self, extra: Mapping[str, Any]) -> None:
        """Write provenance.json (see `turbo_eval.core.provenance.collect`)."""
        write_json_atomic(self.path / "provenance.json", provenance.collect(extra))

    @property
    def _toml(self) -> Path:
        return self.path / "run.toml"

    def _table(self, name: str, row_type: "type[Row]", *key: str) -> Table:
        return Table(self.path / f"{name}.parquet", records.schema(row_type), key)


def _plain(value: Any) -> Any:
    """The value as TOML can hold it, without the keys whose value is None."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [_plain(v) for v in items]
    return value if isinstance(value, bool | int | float | str) else str(value)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _show(config: Mapping[str, Any], key: str) -> str:
    return repr(config[key]) if key in config else "absent"
