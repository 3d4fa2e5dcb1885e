"""AMT-S: the frame between two frames, from correlation volumes and three pairs of flows.

The modules carry the names of the official checkpoint `amt-s.pth` (213 tensors, 3.0 M numbers).

Source: Li et al. 2023, "AMT: All-Pairs Multi-Field Transforms for Efficient Frame Interpolation"
(arXiv 2304.09790); the decoders follow Kong et al. 2022, IFRNet (arXiv 2205.14620).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from turbo_eval.backbones.official.amt_correlation import Correlation, pixel_grid

CHANNELS = (20, 32, 44, 56)
SIDE = 20
FLOWS = 3
RADIUS = 3
LEVELS = 4
MULTIPLE = 16
"""Height and width must be multiples of this."""


def resized(x: Tensor, factor: float) -> Tensor:
    """Bilinearly resized by a factor."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def resized_flow(flow: Tensor, factor: float) -> Tensor:
    """A flow in pixels, resized with its lengths."""
    return factor * resized(flow, factor)


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Fetch each pixel from where a flow points.

    Args:
        image: [N, C, h, w].
        flow: [N, 2, h, w], x and y in pixels; beyond the border the border's value counts.
    """
    height, width = image.shape[-2:]
    y = torch.linspace(-1, 1, height, device=flow.device)[:, None].expand(height, width)
    x = torch.linspace(-1, 1, width, device=flow.device)[None].expand(height, width)
    half = flow.new_tensor([(width - 1) / 2, (height - 1) / 2])
    where = torch.stack([x, y], -1) + flow.permute(0, 2, 3, 1) / half
    return F.grid_sample(image, where, padding_mode="border", align_corners=True)


def conv3(inside: int, outside: int, stride: int = 1) -> nn.Conv2d:
    """A 3 x 3 convolution; stride 1 keeps the size."""
    return nn.Conv2d(inside, outside, 3, stride, 1)


def conv_prelu(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution and a PReLU with one slope a channel."""
    return nn.Sequential(conv3(inside, outside, stride), nn.PReLU(outside))


class Bottleneck(nn.Module):
    """Residual block of three convolutions with instance norm (no parameters)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        inner = outside // 4
        self.conv1 = nn.Conv2d(inside, inner, 1)
        self.conv2 = conv3(inner, inner, stride)
        self.conv3 = nn.Conv2d(inner, outside, 1)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inside, outside, 1, stride), nn.InstanceNorm2d(outside))
            if stride > 1
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, inside, h, w] to [N, outside, h / stride, w / stride]."""
        y = x
        for layer in (self.conv1, self.conv2, self.conv3):
            y = F.relu(F.instance_norm(layer(y)))
        return F.relu(self.downsample(x) + y)


class FeatureEncoder(nn.Module):
    """What frames are compared by: [N, 3, h, w] to [N, 84, h / 8, w / 8]."""

    def __init__(self, width: int = 84) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 7, 2, 3)
        self.layer1 = nn.Sequential(Bottleneck(32, 32, 1), Bottleneck(32, 32, 1))
        self.layer2 = nn.Sequential(Bottleneck(32, 64, 2), Bottleneck(64, 64, 1))
        self.layer3 = nn.Sequential(Bottleneck(64, 96, 2), Bottleneck(96, 96, 1))
        self.conv2 = nn.Conv2d(96, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features."""
        x = F.relu(F.instance_norm(self.conv1(x)))
        result: Tensor = self.conv2(self.layer3(self.layer2(self.layer1(x))))
        return result


class ContextEncoder(nn.Module):
    """A pyramid of four levels, each half the size of the one before."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        for k, (inside, outside) in enumerate(zip((3, *channels), channels, strict=False), 1):
            level = nn.Sequential(conv_prelu(inside, outside, 2), conv_prelu(outside, outside))
            self.add_module(f"pyramid{k}", level)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Levels of [N, 3, h, w], the finest (h / 2) first."""
        levels = []
        for level in self.children():
            x = level(x)
            levels.append(x)
        return levels


class SideBlock(nn.Module):
    """Residual block of five convolutions; every second one works on the last channels only."""

    def __init__(self, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.conv1 = conv_prelu(width, width)
        self.conv2 = conv_prelu(side, side)
        self.conv3 = conv_prelu(width, width)
        self.conv4 = conv_prelu(side, side)
        self.conv5 = conv3(width, width)
        self.prelu = nn.PReLU(width)

    def _aside(self, layer: nn.Module, x: Tensor) -> Tensor:
        return torch.cat([x[:, : -self.side], layer(x[:, -self.side :])], 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, width, h, w] to the same shape."""
        y = self._aside(self.conv2, self.conv1(x))
        y = self._aside(self.conv4, self.conv3(y))
        result: Tensor = self.prelu(x + self.conv5(y))
        return result


class Decoder(nn.Module):
    """Convolutions that double the size; the callers give the channels their meaning."""

    def __init__(self, inside: int, width: int, outside: int, side: int) -> None:
        super().__init__()
        self.convblock = nn.Sequential(
            conv_prelu(inside, width),
            SideBlock(width, side),
            nn.ConvTranspose2d(width, outside, 4, 2, 1),
        )

    def forward(self, *parts: Tensor) -> Tensor:
        """Parts of [N, c, h, w] with `inside` channels together to [N, outside, 2 h, 2 w]."""
        result: Tensor = self.convblock(torch.cat(parts, 1))
        return result


class Update(nn.Module):
    """Corrects a pair of flows and a feature by what the correlation says along the flows.

    Args:
        width: Channels of the feature.
        factor: How much finer the feature is than the correlation volume.
    """

    def __init__(self, width: int, factor: int) -> None:
        super().__init__()
        hidden, flow, corr, mixed = 76, 20, 64, 68
        self.factor = factor
        self.convc1 = nn.Conv2d(2 * LEVELS * (2 * RADIUS + 1) ** 2, corr, 1)
        self.convf1 = nn.Conv2d(4, 2 * flow, 7, padding=3)
        self.convf2 = conv3(2 * flow, flow)
        self.conv = conv3(corr + flow, mixed)
        self.gru = _two(mixed + 4 + width, hidden, hidden)
        self.feat_head = _two(hidden, hidden, width)
        self.flow_head = _two(hidden, hidden, 4)

    def forward(self, feature: Tensor, flows: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        """What to add.

        Args:
            feature: [N, width, h * factor, w * factor].
            flows: [N, 4, h, w], to the first and to the last frame.
            found: [N, 2 * 196, h, w], correlation along both flows.

        Returns:
            Additions to the feature and to the flows, both at the feature's size.
        """
        seen = _leaky(self.convc1(found))
        moved = _leaky(self.convf2(_leaky(self.convf1(flows))))
        mixed = _leaky(self.conv(torch.cat([seen, moved], 1)))
        small = resized(feature, 1 / self.factor) if self.factor > 1 else feature
        hidden = self.gru(torch.cat([mixed, flows, small], 1))
        more, flow = self.feat_head(hidden), self.flow_head(hidden)
        if self.factor > 1:
            return resized(more, self.factor), resized_flow(flow, self.factor)
        return more, flow


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


def _two(inside: int, inner: int, outside: int) -> nn.Sequential:
    return nn.Sequential(conv3(inside, inner), nn.LeakyReLU(0.1), conv3(inner, outside))


class AMT(nn.Module):
    """AMT-S for the frame in the middle (time 0.5)."""

    def __init__(self) -> None:
        super().__init__()
        c1, c2, c3, c4 = CHANNELS
        self.feat_encoder = FeatureEncoder()
        self.encoder = ContextEncoder(CHANNELS)
        self.decoder4 = Decoder(2 * c4 + 1, 2 * c4, c3 + 4, SIDE)
        self.decoder3 = Decoder(3 * c3 + 4, 3 * c3, c2 + 4, SIDE)
        self.decoder2 = Decoder(3 * c2 + 4, 3 * c2, c1 + 4, SIDE)
        self.decoder1 = Decoder(3 * c1 + 4, 3 * c1, 8 * FLOWS, SIDE)
        self.update4 = Update(c3, 1)
        self.update3 = Update(c2, 2)
        self.update2 = Update(c1, 4)
        self.comb_block = nn.Sequential(
            conv3(3 * FLOWS, 6 * FLOWS), nn.PReLU(6 * FLOWS), conv3(6 * FLOWS, 3)
        )

    def forward(self, first: Tensor, last: Tensor) -> Tensor:
        """The frame in the middle.

        Args:
            first: [N, 3, h, w] in 0..1, h and w multiples of 16 and at least 128 (the coarsest
                correlation level needs two places to a side).
            last: The same for the later frame.

        Returns:
            [N, 3, h, w] in 0..1.
        """
        mean = torch.cat([first, last], 2).mean((1, 2, 3), keepdim=True)
        first, last = first - mean, last - mean
        features = self.feat_encoder(torch.cat([first, last])).chunk(2)
        forth = Correlation(features[0], features[1], LEVELS, RADIUS)
        back = Correlation(features[1], features[0], LEVELS, RADIUS)
        grid = pixel_grid(first.shape[2] // 8, first.shape[3] // 8, first.device)
        pyramid = [level.chunk(2) for level in self.encoder(torch.cat([first, last]))]

        coarse = pyramid[3]
        half_way = torch.full_like(coarse[0][:, :1], 0.5)
        out = self.decoder4(coarse[0], coarse[1], half_way)
        flows, feature = out[:, :4], out[:, 4:]
        for level, decoder, update in (
            (2, self.decoder3, self.update4),
            (1, self.decoder2, self.update3),
            (0, self.decoder1, self.update2),
        ):
            small = resized_flow(flows, 1 / update.factor) if update.factor > 1 else flows
            # Twice the flow from the middle to one frame leads from the other frame to it.
            found = torch.cat([forth(grid + 2 * small[:, 2:]), back(grid + 2 * small[:, :2])], 1)
            more, correction = update(feature, small, found)
            flows, feature = flows + correction, feature + more
            near, far = pyramid[level]
            warped = warp(near, flows[:, :2]), warp(far, flows[:, 2:])
            out = decoder(feature, *warped, flows)
            if level > 0:
                flows, feature = out[:, :4] + resized_flow(flows, 2.0), out[:, 4:]
        # The frame is compared in whole pixel values, of which bfloat16 would keep 8 bits.
        with torch.autocast(first.device.type, enabled=False):
            return self._combined(first, last, mean, resized_flow(flows.float(), 2.0), out.float())

    def _combined(
        self, first: Tensor, last: Tensor, mean: Tensor, flows: Tensor, out: Tensor
    ) -> Tensor:
        """Mix several guesses of the middle frame.

        Args:
            first: [N, 3, h, w] with zero mean.
            last: The same for the later frame.
            mean: [N, 1, 1, 1], what was taken off.
            flows: [N, 4, h, w], common to all guesses.
            out: [N, 24, h, w]: for each guess what to add to the flow to the first frame (2),
                to the flow to the last one (2), the logit of trust in the first (1), what to add
                to the picture (3); the same kind of channels of all guesses lie together.
        """
        number, _, height, width = out.shape
        shape = (number * FLOWS, -1, height, width)
        to_first, to_last, trust, extra = (
            part.reshape(shape) for part in out.split([2 * FLOWS, 2 * FLOWS, FLOWS, 3 * FLOWS], 1)
        )
        common = flows.repeat_interleave(FLOWS, 0)
        near = warp(first.repeat_interleave(FLOWS, 0), to_first + common[:, :2])
        far = warp(last.repeat_interleave(FLOWS, 0), to_last + common[:, 2:])
        trust = trust.sigmoid()
        guesses = trust * near + (1 - trust) * far + mean.repeat_interleave(FLOWS, 0) + extra
        guesses = guesses.view(number, FLOWS, 3, height, width)
        picture: Tensor = guesses.mean(1) + self.comb_block(guesses.flatten(1, 2))
        return picture.clamp(0, 1)
