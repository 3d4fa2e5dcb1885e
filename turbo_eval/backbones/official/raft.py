"""RAFT: motion between two frames (dynamic degree, and the static filter).

torchvision has the network; both the original file (`raft-things.pth`) and torchvision's port of
it (`C_T_V1`) load strictly. The loop over the 20 updates is written here, because only the last
flow is wanted and much of each update is the same every time:

- a frame's features are computed once, not once for each pair that it is in;
- only the last flow is brought to full size;
- the context enters every update through the same convolutions, so its part is computed once;
- pairs of dynamic degree are looked at until the others cannot change its answer.

Source: Teed and Deng 2020 (arXiv 2003.12039); VBench (arXiv 2311.17982) for the measures.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.motion import decided
from turbo_eval.backbones.official.files import BY_ID
from turbo_eval.backbones.official.frames import Judge, float_frames, serves
from turbo_eval.backbones.official.weights import load_strict
from turbo_eval.backbones.protocol import Features
from turbo_eval.core.errors import InputError
from turbo_eval.core.records import Prompt
from turbo_eval.video.clip import Clip

UPDATES: Final = 20
BLOCK: Final = 8
"""Frames are padded to a multiple of this; flow is computed at 1 of it."""
SMALLEST: Final = 128
"""Pixels a side, after padding, that the four levels of correlation need."""
PIXELS_AT_ONCE: Final = 1 << 20
"""Bound on the pixels of one forward pass on a GPU; it bounds memory, not results."""

_NAMES: Final = (
    (r"^feature_encoder\.", "fnet."),
    (r"^context_encoder\.", "cnet."),
    (r"^(.net)\.convnormrelu\.0\.", r"\1.conv1."),
    (r"^(.net)\.convnormrelu\.1\.", r"\1.norm1."),
    (r"^(.net)\.conv\.", r"\1.conv2."),
    (r"\.convnormrelu([12])\.0\.", r".conv\1."),
    (r"\.convnormrelu([12])\.1\.", r".norm\1."),
    (r"^update_block\.motion_encoder\.convcorr([12])\.0\.", r"update_block.encoder.convc\1."),
    (r"^update_block\.motion_encoder\.convflow([12])\.0\.", r"update_block.encoder.convf\1."),
    (r"^update_block\.motion_encoder\.conv\.0\.", "update_block.encoder.conv."),
    (
        r"^update_block\.recurrent_block\.convgru([12])\.conv([zrq])\.",
        r"update_block.gru.conv\2\1.",
    ),
    (r"^mask_predictor\.convrelu\.0\.", "update_block.mask.0."),
    (r"^mask_predictor\.conv\.", "update_block.mask.2."),
)
_ALIAS = re.compile(r"(.*)\.norm3\.(.*)")


def official_name(name: str) -> str:
    """The name that the original file gives a tensor of torchvision's."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def make_network() -> nn.Module:
    """The untrained network without memory (on the `meta` device)."""
    from torchvision.models.optical_flow import raft_large

    with torch.device("meta"):
        network: nn.Module = raft_large(weights=None, progress=False)
    return network


def layout() -> dict[str, Tensor]:
    """The official state, untrained, with the second names that the original gives a norm."""
    state: dict[str, Tensor] = {}
    for name, tensor in make_network().state_dict().items():
        official = official_name(name)
        # Counters of batches hold values, so they need memory.
        state[official] = (
            tensor if tensor.is_floating_point() else torch.zeros((), dtype=torch.long)
        )
        if official.startswith("cnet.") and ".downsample.1." in official:
            state[official.replace(".downsample.1.", ".norm3.")] = state[official]
    return state


def torchvision_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state by torchvision's names, from the original names or from torchvision's own.

    Second names of the same norm are left out; unknown names stay, so that loading refuses them.
    """
    if not any(name.startswith(("fnet.", "cnet.")) for name in state):
        return dict(state)
    ours = {official_name(name): name for name in make_network().state_dict()}
    result = {}
    for name, tensor in state.items():
        alias = _ALIAS.fullmatch(name)
        if alias and f"{alias[1]}.downsample.1.{alias[2]}" in state:
            continue
        result[ours.get(name, name)] = tensor
    return result


class _Gates(nn.Module):
    """One gated unit with the context's part of its convolutions split off.

    Args:
        unit: torchvision's ConvGRU; its inputs are [hidden 128, context 128, motion 128].
    """

    gates: Tensor
    gates_context: Tensor
    gates_bias: Tensor
    new: Tensor
    new_context: Tensor
    new_bias: Tensor

    def __init__(self, unit: Any) -> None:
        super().__init__()
        self.padding = unit.convz.padding
        gates, gates_context = _split(torch.cat([unit.convz.weight, unit.convr.weight]))
        new, new_context = _split(unit.convq.weight)
        parts = {
            "gates": gates,
            "gates_context": gates_context,
            "gates_bias": torch.cat([unit.convz.bias, unit.convr.bias]).detach(),
            "new": new,
            "new_context": new_context,
            "new_bias": unit.convq.bias.detach(),
        }
        for name, tensor in parts.items():
            self.register_buffer(name, tensor, persistent=False)

    def fixed(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """What the context adds to the gates and to the new state in every update."""
        return (
            F.conv2d(context, self.gates_context, self.gates_bias, padding=self.padding),
            F.conv2d(context, self.new_context, self.new_bias, padding=self.padding),
        )

    def forward(self, hidden: Tensor, motion: Tensor, fixed: tuple[Tensor, Tensor]) -> Tensor:
        """The next hidden state [N, 128, h, w]."""
        seen = F.conv2d(torch.cat([hidden, motion], 1), self.gates, padding=self.padding)
        update, reset = (seen + fixed[0]).sigmoid().chunk(2, 1)
        seen = F.conv2d(torch.cat([reset * hidden, motion], 1), self.new, padding=self.padding)
        new = (seen + fixed[1]).tanh()
        return (1 - update) * hidden + update * new


def _split(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The parts of a convolution for [hidden, motion] and for the context."""
    hidden, context, motion = weight.detach().chunk(3, 1)
    return torch.cat([hidden, motion], 1).contiguous(), context.contiguous()


class Raft(nn.Module):
    """RAFT with the updates arranged for inference.

    Args:
        network: torchvision's `raft_large` with its weights.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        block = network.update_block.recurrent_block
        self.across = _Gates(block.convgru1)
        self.down = _Gates(block.convgru2)

    def features(self, pictures: Tensor) -> Tensor:
        """Features [N, 256, H/8, W/8] to match, of pictures [N, 3, H, W] in -1..1."""
        result: Tensor = self.network.feature_encoder(pictures)
        return result

    def flow(self, pictures: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Flow [N, 2, H, W] in pixels after 20 updates.

        Args:
            pictures: The first frames [N, 3, H, W] in -1..1, H and W multiples of 8.
            first: Their `features`.
            second: Those of the frames to match.
        """
        net = self.network
        net.corr_block.build_pyramid(first, second)
        hidden, context = net.context_encoder(pictures).split(128, 1)
        hidden, context = hidden.tanh(), context.relu()
        across, down = self.across.fixed(context), self.down.fixed(context)
        start = _grid(first)
        at = start
        for _ in range(UPDATES):
            likeness = net.corr_block.index_pyramid(centroids_coords=at)
            motion = net.update_block.motion_encoder(at - start, likeness)
            hidden = self.across(hidden, motion, across)
            hidden = self.down(hidden, motion, down)
            at = at + net.update_block.flow_head(hidden)
        # The volume of a large frame takes gigabytes and is of no more use.
        net.corr_block.corr_pyramid = [torch.empty(0)]
        return upsampled(at - start, net.mask_predictor(hidden))


def _grid(like: Tensor) -> Tensor:
    count, _, height, width = like.shape
    y, x = torch.meshgrid(
        torch.arange(height, device=like.device), torch.arange(width, device=like.device),
        indexing="ij",
    )  # fmt: skip
    return torch.stack([x, y]).float().expand(count, -1, -1, -1)


def upsampled(flow: Tensor, mask: Tensor) -> Tensor:
    """Flow at full size: each pixel is a convex mixture of the 9 coarse values around it.

    Args:
        flow: [N, 2, h, w] in coarse cells.
        mask: [N, 9 * 64, h, w], weights before the softmax over the 9.

    Returns:
        [N, 2, 8h, 8w] in pixels.
    """
    count, _, height, width = flow.shape
    weights = mask.view(count, 1, 9, BLOCK, BLOCK, height, width).softmax(2)
    around = F.unfold(BLOCK * flow, 3, padding=1).view(count, 2, 9, 1, 1, height, width)
    fine = (weights * around).sum(2)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(count, 2, BLOCK * height, BLOCK * width)


def kept_indices(length: int, fps: float) -> list[int]:
    """Frames that dynamic degree keeps: every round(fps / 8)-th, at least every one."""
    return list(range(0, length, max(1, round(fps / 8))))


def largest_mean(lengths: NDArray[np.float32], share: float) -> float:
    """Mean of the largest int(count * share) values.

    Args:
        lengths: [H', W'] motion per pixel.
        share: 0.05 for dynamic degree, 0.02 for the static filter.
    """
    height, width = lengths.shape
    count = int(height * width * share)
    largest = np.partition(lengths.ravel(), lengths.size - count)[lengths.size - count :]
    # Summed from the largest down in float32, as the official program does.
    return float(np.mean(np.sort(largest)[::-1]))


def padded(pictures: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] with their edges repeated to multiples of 8, split on both sides."""
    height, width = pictures.shape[-2:]
    down, across = -height % BLOCK, -width % BLOCK
    sides = (across // 2, across - across // 2, down // 2, down - down // 2)
    return F.pad(pictures, sides, mode="replicate")


Pair = tuple[int, int]


def plan_pairs(length: int, fps: float, prompt: Prompt) -> tuple[list[Pair], list[Pair]]:
    """The pairs of frames for dynamic degree, and those of the static filter.

    The static filter belongs to temporal flickering; clips that serve only other dimensions are
    spared its pairs. A clip too short for dynamic degree keeps them: they tell how long it is.
    """
    kept = kept_indices(length, fps)
    thinned = list(zip(kept[:-1], kept[1:], strict=True))
    still = [(t, t + 1) for t in range(length - 1)]
    wrap = [(0, length - 1), (length - 1, 0)]
    filters = serves(prompt, "temporal_flickering") or len(kept) < 2
    return thinned, [*still, *wrap] if filters else []


class Flow(Judge):
    """Motion between frames."""

    role: ClassVar[str] = "flow"

    def build(self, *states: dict[str, Tensor]) -> nn.Module:
        """Make the network from the original names or from torchvision's."""
        state = torchvision_state(states[0])
        return Raft(load_strict(make_network(), state, BY_ID["raft"]))

    def look(self, network: nn.Module, clip: Clip, prompt: Prompt) -> Features:
        """Motion of the pairs that the dimensions of the prompt need.

        Args:
            network: RAFT.
            clip: Sides of at least 121 pixels.
            prompt: Whether it serves temporal flickering decides about the static filter.

        Returns:
            `dynamic` float32 [up to n-1: as many pairs, in order, as settle dynamic degree], `size`
            int64 [2] (height, width), `kept` int64 [] n; with the static filter all pairs, and
            `static` [T-1] and `static_wrap` [2]. Motion is in pixels.

        Raises:
            InputError: The frames are too small for RAFT.
        """
        assert isinstance(network, Raft)
        frames = clip.frames
        height, width = frames.shape[1:3]
        if min(height, width) + -min(height, width) % BLOCK < SMALLEST:
            raise InputError(
                f"the clip is too small for RAFT: {width}x{height}",
                why=f"both sides must be above {SMALLEST - BLOCK} pixels",
                fix="leave out dynamic_degree, or make larger videos",
            )
        thinned, filtered = plan_pairs(len(frames), clip.fps, prompt)
        lengths: dict[Pair, tuple[float, float]] = {}
        for found in self._measure(network, frames, [*thinned, *filtered]):
            lengths |= found
            motion = [length for length, _ in lengths.values()]
            if not filtered and decided(motion, len(thinned) + 1, min(height, width)):
                break
        looked = [pair for pair in thinned if pair in lengths]
        result: Features = {
            "dynamic": np.array([lengths[pair][0] for pair in looked], np.float32),
            "size": np.array([height, width], np.int64),
            "kept": np.array(len(thinned) + 1, np.int64),
        }
        if filtered:
            still = np.array([lengths[pair][1] for pair in filtered], np.float32)
            result |= {"static": still[:-2], "static_wrap": still[-2:]}
        return result

    def _measure(
        self, network: Raft, frames: NDArray[np.uint8], pairs: Sequence[Pair]
    ) -> Iterator[dict[Pair, tuple[float, float]]]:
        """Pair -> mean of its largest 5 and 2 percent of motion, some pairs at a time, in order."""
        wanted = list(dict.fromkeys(pairs))
        last_use = {frame: k for k, pair in enumerate(wanted) for frame in pair}
        seen: dict[int, Tensor] = {}
        area = int(np.prod(frames.shape[1:3]))
        at_once = 1 if self.device == "cpu" else max(1, PIXELS_AT_ONCE // area)
        for start in range(0, len(wanted), at_once):
            part = wanted[start : start + at_once]
            new = sorted({frame for pair in part for frame in pair} - seen.keys())
            for frame in new:
                seen[frame] = network.features(self._picture(frames, [frame]))
            flow = network.flow(
                self._picture(frames, [a for a, _ in part]),
                torch.cat([seen[a] for a, _ in part]),
                torch.cat([seen[b] for _, b in part]),
            )
            motion = flow.square().sum(1).sqrt().float().cpu().numpy()
            yield {
                pair: (largest_mean(lengths, 0.05), largest_mean(lengths, 0.02))
                for pair, lengths in zip(part, motion, strict=True)
            }
            done = start + len(part)
            seen = {frame: kept for frame, kept in seen.items() if last_use[frame] >= done}

    def _picture(self, frames: NDArray[np.uint8], numbers: list[int]) -> Tensor:
        return padded(2 * (float_frames(frames[numbers], self.device) / 255.0) - 1.0)
