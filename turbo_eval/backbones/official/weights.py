"""Where the official files lie, and their states read safely and loaded strictly.

Nothing here downloads. Files are looked for in the folder that was named, in the folder that
`TURBO_EVAL_WEIGHTS_DIR` names, and in the cache of VBench's own program.
"""

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from turbo_eval.backbones.official.files import FILES, VOCABULARY, WeightsFile
from turbo_eval.backbones.official.strict import ForeignWeights, check_strict, load_strict
from turbo_eval.core.errors import PrerequisiteError, TurboError
from turbo_eval.core.store import atomic_path

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "CONVERTED",
    "VARIABLE",
    "ForeignWeights",
    "check_strict",
    "fault",
    "find",
    "find_vocabulary",
    "folders",
    "load_strict",
    "locate",
    "place",
    "read_state",
]

VARIABLE: Final = "TURBO_EVAL_WEIGHTS_DIR"
CONVERTED: Final = ".safetensors"
"""What the name of a converted copy adds to the name of its file."""
_NAMED = 3
_CUT: Final = "it is cut off: the end of the archive is missing"
_STRANGE: Final = "it is no checkpoint (a web page saved under this name?)"
_CODE: Final = re.compile(r"GLOBAL (\S+)")
"""How torch names what a pickle wants to call."""


def folders(weights_dir: Path | None = None) -> list[Path]:
    """The folders that are searched, in order, whether they exist or not.

    Args:
        weights_dir: The folder that the user named, if any.
    """
    found = [weights_dir] if weights_dir else []
    if named := os.environ.get(VARIABLE, "").strip():
        found.append(Path(named).expanduser())
    cache = os.environ.get("VBENCH_CACHE_DIR", "").strip()
    found.append(Path(cache).expanduser() if cache else Path.home() / ".cache" / "vbench")
    return list(dict.fromkeys(found))


def locate(file: WeightsFile, weights_dir: Path | None = None) -> Path | None:
    """The path of an official file, or None if it is nowhere.

    Args:
        file: The file.
        weights_dir: The folder that the user named, if any: flat, or laid out as VBench's cache.
    """
    for folder in folders(weights_dir):
        names = (file.file, *file.also)
        for path in (base / name for name in names for base in (folder, folder / file.cache)):
            # A name that cannot be, or a folder that may not be entered, holds no weights.
            with suppress(OSError, ValueError):
                if path.is_file():
                    return path
    return None


def find(file: WeightsFile, weights_dir: Path | None = None) -> Path:
    """The path of an official file.

    Args:
        file: The file.
        weights_dir: The folder that the user named, if any.

    Raises:
        PrerequisiteError: It is nowhere; says where it was looked for and what to type.
    """
    path = locate(file, weights_dir)
    if path is None:
        raise _missing(file.file, weights_dir, _pull(file, weights_dir))
    return path


def find_vocabulary(weights_dir: Path | None = None) -> Path:
    """The word pieces of BERT, `bert-base-uncased/vocab.txt` in a folder of weights.

    Raises:
        PrerequisiteError: They are nowhere.
    """
    return find(VOCABULARY, weights_dir)


def place(file: WeightsFile, weights_dir: Path | None = None) -> Path:
    """Where a new copy of an official file belongs.

    In a folder that the user named, by option or environment, files lie flat; in VBench's cache
    they lie where the official program looks for them.
    """
    folder = folders(weights_dir)[0]
    named = weights_dir is not None or os.environ.get(VARIABLE, "").strip()
    return folder / file.file if named else folder / file.cache / file.file


def _pull(file: WeightsFile, weights_dir: Path | None) -> str:
    where = f" --weights-dir {quote(str(weights_dir))}" if weights_dir else ""
    return f"turbo-eval weights pull {file.id}{where}"


def _missing(name: str, weights_dir: Path | None, fix: str) -> PrerequisiteError:
    searched = ", ".join(str(folder) for folder in folders(weights_dir))
    return PrerequisiteError(f"no weights {name}", why=f"searched {searched}", fix=fix)


def read_state(
    path: Path, *, wrapper: str | None = None, prefix: str = "", mapped: bool = True
) -> dict[str, "Tensor"]:
    """Read the tensors of a checkpoint; no code of it runs (see the module `archive`).

    A file that cannot be mapped into memory as it is (TorchScript, and the format before
    torch 1.6) is converted once to safetensors, beside it if that folder can be written; archives
    of torch.save are mapped directly, so a copy would gain nothing.

    Args:
        path: The checkpoint.
        wrapper: Key of the dictionary that holds the state; None or empty when the file is it.
        prefix: What every name starts with; it is taken off.
        mapped: False reads archives into memory of their own, which each tensor gives back alone;
            mapped pages stay until the last tensor of the file is gone.

    Returns:
        Name -> tensor on the CPU, as stored; mapped from the file, copy on write, where possible.

    Raises:
        PrerequisiteError: The file is cut off, damaged, of another kind, or lacks the wrapper.
    """
    state = _converted(path)
    if state is None:
        content, lasting = _read(path, mapped)
        state = dict(_tensors(_unwrapped(path, content, wrapper)))
        if not state:
            raise _refused(path, f"it holds no tensors; it starts with {_first_of(content)}")
        if not lasting:
            _convert(path, state)
    if prefix:
        wrong = [name for name in state if not name.startswith(prefix)]
        # Saved from one device, RAFT has no prefix; then no name has it.
        if wrong and len(wrong) != len(state):
            raise _refused(path, f"some of its names lack the prefix {prefix}: {wrong[0]}")
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _read(path: Path, mapped: bool) -> tuple[Mapping[Any, Any], bool]:
    """The contents of a checkpoint, and whether it can be mapped as it is."""
    import torch

    from turbo_eval.backbones.official.archive import inert_tensors

    if why := fault(path):
        raise _refused(path, why, half=why != _STRANGE)
    archive = zipfile.is_zipfile(path)
    try:
        try:
            if archive and _is_torchscript(path):
                return inert_tensors(path), False
            with warnings.catch_warnings():
                # It warns of pickles that it then refuses.
                warnings.simplefilter("ignore")
                content = torch.load(
                    path, map_location="cpu", weights_only=True, mmap=archive and mapped
                )
        except pickle.UnpicklingError as error:
            # Some files keep settings of other libraries beside the tensors.
            if archive:
                return inert_tensors(path), True
            raise _refused(path, _more_than_tensors(str(error))) from error
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, EOFError, KeyError, RuntimeError, ValueError,
        AttributeError, IndexError, TypeError, OverflowError,
    ) as error:  # fmt: skip
        why = str(error).strip().partition("\n")[0][:200] or "it ends too early"
        raise _refused(path, why, half=True) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if not isinstance(content, Mapping):
        raise _refused(path, f"it holds a {type(content).__name__}, no dictionary of tensors")
    return content, archive


def _more_than_tensors(said: str) -> str:
    # Torch's own words end with the advice to run what the file says.
    code = _CODE.search(said)
    what = f"it wants to call {code[1]}" if code else "it is a pickle of more than tensors"
    return f"{what}, which no checkpoint needs; nothing of it was run"


def fault(path: Path) -> str:
    """What a look at both ends of a checkpoint shows to be wrong; empty when nothing is.

    It costs nothing, so it can be asked before a run starts; only `read_state` knows the rest.

    Raises:
        PrerequisiteError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
        if not head:
            return "it is empty"
        if head.startswith(b"PK"):
            return "" if zipfile.is_zipfile(path) else _CUT
    except OSError as error:
        raise _unreadable(path, error) from error
    return "" if head.startswith((b"\x80", b"\x93")) else _STRANGE


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _unwrapped(path: Path, content: Mapping[Any, Any], wrapper: str | None) -> Mapping[Any, Any]:
    if not wrapper:
        return content
    if wrapper not in content:
        names = _first_of(content)
        raise _refused(path, f"it has no part {wrapper!r}; it starts with {names}")
    inside = content[wrapper]
    if not isinstance(inside, Mapping):
        raise _refused(path, f"its part {wrapper!r} is no dictionary of tensors")
    return inside


def _first_of(content: Mapping[Any, Any]) -> str:
    return ", ".join(repr(key) for key in list(content)[:_NAMED]) or "nothing"


def _tensors(content: Mapping[Any, Any]) -> Iterator[tuple[str, "Tensor"]]:
    from torch import Tensor

    for name, value in content.items():
        if isinstance(value, Tensor):
            yield str(name), value


def _converted(path: Path) -> dict[str, "Tensor"] | None:
    """The converted copy, if there is one of this very file."""
    from safetensors import SafetensorError, safe_open

    for copy in _copies(path):
        try:
            with safe_open(copy, "pt") as file:
                if (file.metadata() or {}).get("of") == _identity(path):
                    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            continue
    return None


def _convert(path: Path, state: Mapping[str, "Tensor"]) -> None:
    """Keep a copy that can be mapped, where that is possible; without one everything works."""
    from safetensors.torch import save_file

    # Safetensors wants every tensor to have memory of its own.
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
    for copy in _copies(path):
        with suppress(TurboError, OSError), atomic_path(copy) as temporary:
            save_file(tensors, temporary, {"of": _identity(path)})
            # Whoever may read the file may read its copy.
            temporary.chmod(path.stat().st_mode & 0o666)
            return


def _copies(path: Path) -> list[Path]:
    from turbo_eval.core.hashing import content_key
    from turbo_eval.prompts.manifest import home

    name = f"{path.stem}-{content_key('copy', str(path.resolve()))}{CONVERTED}"
    return [path.with_name(path.name + CONVERTED), home() / "weights" / name]


def _identity(path: Path) -> str:
    status = path.stat()
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"


def _refused(path: Path, why: str, *, half: bool = False) -> PrerequisiteError:
    entry = next((e for e in FILES if e.file == path.name), None)
    fix = "download it again"
    if entry and entry.url:
        fix += (
            f": turbo-eval weights pull {entry.id} --weights-dir {quote(str(path.parent))} --again"
        )
    what = "is damaged or was downloaded only in part" if half else "cannot be used"
    return PrerequisiteError(f"the weights {path} {what}", why=why, fix=fix)


def _unreadable(path: Path, error: OSError) -> PrerequisiteError:
    why = error.strerror or str(error)
    return PrerequisiteError(
        f"cannot read the weights {path}", why=why, fix="check its permissions"
    )
