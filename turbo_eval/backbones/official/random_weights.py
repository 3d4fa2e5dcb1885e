"""The official checkpoint files with deterministic random weights, in their published formats.

They exercise the whole official path without a download: tests, benchmarks, `turbo-eval verify`
and newcomers. Every number follows from the name of its tensor and a seed, so that any program can
make the same files. Each file carries a mark (`turbo_eval.backbones.official.marks`).
"""

import math
import re
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from turbo_eval.backbones.official.files import FILES, WeightsFile
from turbo_eval.backbones.official.marks import MARKER, RandomMark, mark_random
from turbo_eval.core.errors import UsageError
from turbo_eval.core.store import atomic_path, write_json_atomic

_HERE: Final = "turbo_eval.backbones.official"

LAYOUTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "clip-b32": f"{_HERE}.clip:layout_b32",
        "clip-l14": f"{_HERE}.clip:layout_l14",
        "aesthetic": f"{_HERE}.aesthetic:layout",
        "dino": f"{_HERE}.dino:layout",
        "raft": f"{_HERE}.raft:layout",
        "amt": f"{_HERE}.amt:layout",
        "musiq": f"{_HERE}.musiq:layout",
        "viclip": f"{_HERE}.viclip:layout",
        "umt": f"{_HERE}.umt:layout",
        "tag2text": f"{_HERE}.tag2text.judge:layout",
        "grit": f"{_HERE}.grit.judge:layout",
    }
)
"""File -> `module:function` that returns the official state, untrained, by official names.

Floating-point tensors may lie on the `meta` device; integer ones hold their values. Names that
share one storage are ties.
"""

_SEP, _ALL_TAGS = 102, (
    # alley arch bar bedroom bridge cliff street house kitchen lake ocean forest person dog boat
    # on in the a
    8975, 7905, 3347, 5010, 2958, 7656, 2395, 2160, 3829, 2697, 4153, 3224, 2711, 3899, 4049,
    2006, 1999, 1996, 1037,
)  # fmt: skip
_THINGS = (
    # person dog cat car boat bird horse bench bicycle train red blue white black yellow green
    # sitting standing
    2711, 3899, 4937, 2482, 4049, 4743, 3586, 6847, 10165, 3345, 2417, 2630, 2317, 2304, 3756,
    2665, 3564, 3061,
)  # fmt: skip
"""Numbers of words in the standard vocabulary of bert-base-uncased."""

Add = Callable[[NDArray[np.float32]], None]


def _plus(where: Sequence[int], value: float) -> Add:
    def add(array: NDArray[np.float32]) -> None:
        array[list(where)] += np.float32(value)

    return add


def _two(first: float, second: float) -> Add:
    def add(array: NDArray[np.float32]) -> None:
        array += np.array([first, second], np.float32)

    return add


def _all(value: float) -> Add:
    def add(array: NDArray[np.float32]) -> None:
        array += np.float32(value)

    return add


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where one file leaves the general rule, so that its outputs are not all the same.

    Attributes:
        spread: Pattern of the whole name -> (mean, standard deviation) instead of the rule's.
        add: Pattern of the whole name -> what is added afterwards.
    """

    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    add: Mapping[str, tuple[Add, ...]] = field(default_factory=dict)


RECIPES: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "aesthetic": Recipe({"weight": (0.0, 20 / math.sqrt(768)), "bias": (5.0, 0.05)}),
        "raft": Recipe(
            {
                r"update_block\.flow_head\.conv2\.weight": (0.0, 0.06 / math.sqrt(2304)),
                r"update_block\.flow_head\.conv2\.bias": (0.0, 0.006),
            }
        ),
        "musiq": Recipe({r"head\.weight": (0.0, 10 / math.sqrt(384)), r"head\.bias": (50.0, 0.05)}),
        "tag2text": Recipe(
            add={
                r"text_decoder\.cls\.predictions(\.decoder)?\.bias": (
                    _plus((_SEP, *_ALL_TAGS), 6.0),
                ),
                r"fc\.b": (_all(-2.0),),
            }
        ),
        "grit": Recipe(
            {
                r".*embedding\.positions\.weight": (0.0, 3 / math.sqrt(768)),
                r".*centernet_head\.agn_hm\.bias": (-0.5, 0.0),
                r".*centernet_head\.agn_hm\.weight": (0.0, 2 / math.sqrt(2304)),
                r".*centernet_head\.bbox_pred\.bias": (8.0, 0.05),
                r".*centernet_head\.scales\.\d+\.scale": (1.0, 0.1),
                r".*box_predictor\.\d+\.cls_score\.weight": (0.0, 6 / math.sqrt(1024)),
                r".*box_predictor\.\d+\.bbox_pred\.2\.weight": (0.0, 0.5 / math.sqrt(1024)),
            },
            {
                r".*cls_score\.bias": (_two(-1.3, 1.3),),
                r".*textual\.output\.bias": (_plus(_THINGS, 6.0), _plus((_SEP,), 9.35)),
            },
        ),
    }
)
"""File -> its exceptions; the other files have none."""

KEPT = ("relative_position_index", "attn_mask", "pixel_mean", "pixel_std")
"""Last name parts of tensors that keep the module's values, besides integers."""


def spread_of(name: str, shape: Sequence[int], names: Mapping[str, Any]) -> tuple[float, float]:
    """Mean and standard deviation of a tensor by the general rule.

    Args:
        name: Its name.
        shape: Its shape.
        names: All names of the state, because a scale with a bias beside it is a norm's.
    """
    last = name.rpartition(".")[2]
    if not shape and last == "logit_scale":
        return math.log(100), 0.0
    if not shape and last == "temp":
        return 0.01, 0.0
    if last == "running_mean":
        return 0.0, 0.1
    if len(shape) <= 1:
        if last == "weight":
            norm = f"{name.removesuffix('weight')}bias" in names
            return (1.0, 0.1) if norm else (0.25, 0.05)
        if "bias" in last:
            return 0.0, 0.05
        return 0.0, 1 / math.sqrt(math.prod(shape))
    fan = shape[-1] if shape[0] == 1 else math.prod(shape[1:])
    return 0.0, 1 / math.sqrt(fan)


def random_state(
    layout: Mapping[str, Tensor], seed: int, recipe: Recipe | None = None
) -> dict[str, Tensor]:
    """Draw a state.

    Args:
        layout: Official names -> tensors that give shape, type and ties; integers keep values.
        seed: The seed of the file.
        recipe: Exceptions from the rule.

    Returns:
        Names in the order of the layout; ties share one tensor.
    """
    recipe = recipe or Recipe()
    first: dict[tuple[int, int], str] = {}
    for name in sorted(layout, key=lambda n: n.encode()):
        first.setdefault(_place(layout[name]), name)
    drawn: dict[str, Tensor] = {}
    result: dict[str, Tensor] = {}
    for name, tensor in layout.items():
        source = first[_place(tensor)]
        if not tensor.is_floating_point() or name.rpartition(".")[2] in KEPT:
            result[name] = tensor.clone()
            continue
        if source not in drawn:
            array = _draw(source, tuple(tensor.shape), seed, layout, recipe)
            drawn[source] = torch.from_numpy(array).to(tensor.dtype)
        result[name] = drawn[source]
    return result


def _place(tensor: Tensor) -> tuple[int, int]:
    # The address of the storage itself: on the meta device there are no data to point to.
    return int(tensor.untyped_storage()._cdata), int(tensor.storage_offset())


def _draw(
    name: str, shape: tuple[int, ...], seed: int, names: Mapping[str, Any], recipe: Recipe
) -> NDArray[np.float32]:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()) ^ seed))
    z = generator.standard_normal(shape, dtype=np.float32)
    array = np.asarray(z, np.float32)
    if name.endswith("running_var"):
        array = np.exp(np.float32(0.2) * array)
    else:
        mean, std = spread_of(name, shape, names)
        for pattern, override in recipe.spread.items():
            if re.fullmatch(pattern, name):
                mean, std = override
        array = np.asarray(np.float32(mean) + np.float32(std) * array, np.float32)
    for pattern, additions in recipe.add.items():
        if re.fullmatch(pattern, name):
            for add in additions:
                add(array)
    return array


def seed_of(file: WeightsFile, seed: int) -> int:
    """The seed of a file: `seed` plus its place in `FILES`, counted from 0."""
    return seed + FILES.index(file)


def make_state(file: WeightsFile, seed: int) -> dict[str, Tensor]:
    """The random state of an official file, without wrapper and prefix.

    Args:
        file: The file.
        seed: Seed of the first file of the table.

    Raises:
        UsageError: The network of the file is not part of this installation.
    """
    if file.id not in LAYOUTS:
        raise UsageError(
            f"{file.file} cannot be made", fix=f"leave it out; {', '.join(LAYOUTS)} can be made"
        )
    module, _, name = LAYOUTS[file.id].partition(":")
    layout: Mapping[str, Tensor] = getattr(import_module(module), name)()
    return random_state(layout, seed_of(file, seed), RECIPES.get(file.id))


def write_random(
    seed: int, into: Path, files: Sequence[WeightsFile] | None = None
) -> dict[str, Path]:
    """Write official files with random weights into a folder, and say so beside them.

    Args:
        seed: Seed of the first file; the k-th of the table takes `seed + k`.
        into: The folder; made if it does not exist.
        files: Only these; all that can be made when None.

    Returns:
        File name -> path.

    Raises:
        UsageError: A file cannot be made, or stands in the folder with weights that are not
            random; real weights are never overwritten.
        PrerequisiteError: The folder cannot be written.
    """
    chosen = [f for f in FILES if f.id in LAYOUTS] if files is None else list(files)
    for file in chosen:
        _refuse_real(into / file.file)
    written: dict[str, Path] = {}
    for file in chosen:
        path = into / file.file
        with atomic_path(path) as temporary:
            save_official(temporary, make_state(file, seed), file)
            mark_random(temporary, RandomMark(file.file, seed_of(file, seed)))
        written[file.file] = path
    _write_marker(into)
    return written


def _refuse_real(path: Path) -> None:
    from turbo_eval.backbones.official.marks import random_mark

    if path.exists() and random_mark(path) is None:
        raise UsageError(
            f"{path} is there already",
            why="it holds no random weights and is not overwritten",
            fix="choose another folder",
        )


def _write_marker(into: Path) -> None:
    from turbo_eval.backbones.official.marks import random_mark

    marks = {file.file: random_mark(into / file.file) for file in FILES}
    write_json_atomic(
        into / MARKER,
        {
            "weights": "random: scores made with these files mean nothing",
            "seeds": {name: mark.seed for name, mark in marks.items() if mark},
        },
    )


def save_official(path: Path, state: Mapping[str, Tensor], file: WeightsFile) -> None:
    """Write a state in the published format of a file: wrapper, prefix, archive kind.

    The same state gives the same bytes, so that caches and judges know the files again.

    Args:
        path: Where to write.
        state: Names without prefix -> tensors.
        file: Whose format.
    """
    if file.torchscript:
        # Deprecated for new models; here it is the published format.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with path.open("wb") as out:
                torch.jit.save(torch.jit.script(_tree(state)), out)
        return
    named = {f"{file.prefix}{name}": tensor for name, tensor in state.items()}
    # Given a path, torch would write its name into the archive, and ours is a passing one.
    with path.open("wb") as out:
        torch.save({file.wrapper: named} if file.wrapper else named, out)


def _tree(state: Mapping[str, Tensor]) -> torch.nn.Module:
    """A module that holds the tensors under their names and computes nothing."""
    root = _Holder()
    for name, tensor in state.items():
        *path, last = name.split(".")
        node: torch.nn.Module = root
        for part in path:
            if part not in dict(node.named_children()):
                node.add_module(part, _Holder())
            node = node.get_submodule(part)
        if tensor.is_floating_point():
            node.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=False))
        else:
            node.register_buffer(last, tensor)
    return root


class _Holder(torch.nn.Module):
    def forward(self) -> int:
        return 0
