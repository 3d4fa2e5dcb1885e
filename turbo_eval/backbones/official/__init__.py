"""The judges of VBench: its own networks, from its own checkpoint files.

Asking for the set or its facts imports no tensor library and reads no weights, but a checksum of
every file that is there is computed once (`turbo_eval.backbones.official.marks`). The network of a
part is read when it first looks at a clip.
"""

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import Any, Final

from turbo_eval.backbones.judges import BACKBONES, FLOAT32, Judges
from turbo_eval.backbones.official.files import WeightsFile, files_of_role
from turbo_eval.backbones.official.marks import checksum, random_mark
from turbo_eval.backbones.official.weights import ForeignWeights, locate
from turbo_eval.backbones.protocol import Backbone, BackboneInfo, Features
from turbo_eval.core.errors import PrerequisiteError, unknown
from turbo_eval.core.hashing import blake
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

_HERE: Final = "turbo_eval.backbones.official"

PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "frame_features": f"{_HERE}.dino:Dino",
        "image_text": f"{_HERE}.clip:ImageText",
        "aesthetic": f"{_HERE}.aesthetic:Aesthetic",
        "image_quality": f"{_HERE}.musiq:ImageQuality",
        "flow": f"{_HERE}.raft:Flow",
        "interpolation": f"{_HERE}.amt:Interpolation",
        "action": f"{_HERE}.umt:Action",
        "video_text": f"{_HERE}.viclip:VideoText",
        "detector": f"{_HERE}.grit.judge:Detector",
        "scene": f"{_HERE}.tag2text.judge:Scene",
    }
)
"""Role -> `module:Class`, a `turbo_eval.backbones.official.frames.Judge`."""

NAMES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "frame_features": ("dino-vitb16", "DINO ViT-B/16: self-supervised features of frames."),
        "image_text": ("clip-vitb32", "CLIP ViT-B/32: frames and phrases in one space."),
        "aesthetic": ("laion-aesthetic", "CLIP ViT-L/14 with LAION's linear head, 0..10."),
        "image_quality": ("musiq-spaq", "MUSIQ trained on SPAQ: technical quality, 0..100."),
        "flow": ("raft-things", "RAFT trained on FlyingThings: motion in pixels."),
        "interpolation": ("amt-s", "AMT-S: the frame between two frames."),
        "action": ("umt-vitl16", "UMT ViT-L/16: the 400 actions of Kinetics."),
        "detector": ("grit-b", "GRiT-B: objects with boxes, names and captions."),
        "scene": ("tag2text-swin", "Tag2Text with Swin-B: one caption a frame."),
        "video_text": ("viclip-l", "ViCLIP-L: clips and captions in one space."),
    }
)
"""Role -> name of the network, and one sentence."""

VERSIONS: Final[Mapping[str, int]] = MappingProxyType(dict.fromkeys(NAMES, 1) | {"flow": 2})
"""Raised when a part's preprocessing or outputs change."""

RANDOM: Final = "official-random"
"""Name of the set as soon as one file holds random weights: its scores are nobody's."""


REDUCED: Final = "official-bf16"
"""Name of the set in bfloat16: near VBench's numbers, not VBench's numbers."""


class OfficialPart:
    """One part of the official judges; its module is imported at the first clip.

    Args:
        role: One of `PARTS`.
        device: Where the network runs.
        weights_dir: The folder of weights that the user named, if any.
        compat: `fixed` gives every frame its own caption; the official program mixes them up.
        dtype: `float32`, or `bfloat16` for what autocast computes in it.
    """

    def __init__(
        self,
        role: str,
        device: str = "cpu",
        weights_dir: Path | None = None,
        compat: str = "vbench",
        dtype: str = FLOAT32,
    ) -> None:
        self.role = role
        self.device = device
        self.weights_dir = weights_dir
        self.dtype = dtype
        self.unmixed = role == "scene" and compat == "fixed"
        self._judge: Any = None

    @cached_property
    def paths(self) -> dict[WeightsFile, Path | None]:
        """Its files and where they lie; None for one that is nowhere."""
        return {file: locate(file, self.weights_dir) for file in files_of_role(self.role)}

    @cached_property
    def random(self) -> bool:
        """Whether a file holds random weights."""
        return any(path is not None and random_mark(path) for path in self.paths.values())

    @cached_property
    def info(self) -> BackboneInfo:
        """Facts of the part; `weights` is empty while a file is missing."""
        name, description = NAMES[self.role]
        found = list(self.paths.values())
        sums = [checksum(path) for path in found if path is not None]
        licences = dict.fromkeys(file.licence for file in self.paths)
        return BackboneInfo(
            # Another name, so that the two readings' captions, or features of two number types,
            # never mix.
            id=f"official.{name}"
            + ("-unmixed" if self.unmixed else "")
            + ("" if self.dtype == FLOAT32 else "-bf16"),
            role=self.role,
            version=VERSIONS[self.role],
            weights="" if len(sums) < len(found) else sums[0] if len(sums) == 1 else _one(sums),
            megabytes=round(sum(file.megabytes for file in self.paths), 3),
            licence="none: random weights" if self.random else "; ".join(licences),
            description=f"RANDOM WEIGHTS, scores mean nothing. {description}"
            if self.random
            else description,
        )

    def load(self) -> None:
        """Read the weights, if that is still to be done.

        Raises:
            PrerequisiteError: Weights are missing, damaged or of another network.
        """
        if self._judge is None:
            module, _, name = PARTS[self.role].partition(":")
            make = getattr(import_module(module), name)
            more = {"mixed": False} if self.unmixed else {}
            self._judge = make(
                device=self.device, weights_dir=self.weights_dir, dtype=self.dtype, **more
            )
        try:
            self._judge.network()
        except ForeignWeights as error:
            raise self._placed(error) from error

    def _placed(self, error: ForeignWeights) -> PrerequisiteError:
        """The same error with the file's place: a pull into another folder would not help."""
        for file, path in self.paths.items():
            if path is not None and error.file is file:
                where = quote(str(path.parent))
                fix = f"turbo-eval weights pull {file.id} --weights-dir {where} --again"
                return PrerequisiteError(
                    f"the weights {path} belong to another network",
                    why=error.why,
                    fix=f"get the official file: {fix}" if file.url else error.fix,
                )
        return error

    def unload(self) -> None:
        """Give up the network; the next clip reads it again."""
        self._judge = None

    def extract(self, clip: Clip, prompt: Prompt) -> Features:
        """Look at a clip.

        Args:
            clip: uint8 RGB frames [T, H, W, 3] of any size.
            prompt: What the clip was made for; only the text parts read it.

        Returns:
            The arrays of the role (see the module of the part).

        Raises:
            PrerequisiteError: Weights are missing, damaged or of another network.
        """
        self.load()
        features: Features = self._judge.extract(clip, prompt)
        return features


def _one(sums: list[str]) -> str:
    """One key for the checksums of several files."""
    return blake(" ".join(sums))


def load_part(
    role: str,
    device: str = "cpu",
    weights_dir: Path | None = None,
    compat: str = "vbench",
    dtype: str = FLOAT32,
) -> OfficialPart:
    """Return a part of the official judges; its weights are read when it first looks at a clip.

    Args:
        role: One of `PARTS`.
        device: Where the network runs.
        weights_dir: The folder of weights that the user named, if any.
        compat: See `OfficialPart`.
        dtype: See `OfficialPart`.

    Raises:
        UsageError: No such part; the nearest names are suggested.
    """
    if role not in PARTS:
        raise unknown("part of the official judges", role, PARTS)
    return OfficialPart(role, device, weights_dir, compat, dtype)


def official_judges(
    *,
    device: str = "cpu",
    weights_dir: Path | None = None,
    compat: str = "vbench",
    dtype: str = FLOAT32,
) -> Judges:
    """Return VBench's own networks; scores are normalised with VBench's own table.

    Args:
        device: Where the networks run; plain pixel differences stay on the CPU.
        weights_dir: A folder of official files, before the environment's and VBench's own cache.
        compat: `vbench`, or `fixed` for a captioner that does not mix up its frames.
        dtype: `float32`, or `bfloat16`: the set then has another name, since VBench's numbers are
            float32's.
    """
    parts: dict[str, Backbone] = {"pixels": BACKBONES.get("pixels")()}
    networks = {role: load_part(role, device, weights_dir, compat, dtype) for role in PARTS}
    random = [role for role, part in networks.items() if part.random]
    parts |= networks
    if random:
        text = f"RANDOM WEIGHTS in {', '.join(random)}: scores mean nothing."
        return Judges(RANDOM, parts, description=text)
    if dtype != FLOAT32:
        text = "VBench's own networks and weights, computed in bfloat16."
        return Judges(REDUCED, parts, description=text)
    return Judges("official", parts, description="VBench's own networks and weights.")
