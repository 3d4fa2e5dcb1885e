"""How reward models enter the loss: which frames are decoded, how, and with what weight.

Source: T2V-Turbo (arXiv 2405.18750), section 3, and the authors' program.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from turbo_eval.core.errors import ConfigError, InputError
from turbo_train import config

Decode = Callable[[Tensor], Tensor]
"""Scaled latents [N, C, h, w] to frames [N, 3, H, W] in 0..1, with a gradient."""


@dataclass(frozen=True, slots=True)
class RewardTerms:
    """The rewards of one run.

    Attributes:
        settings: Frames, clips and scales.
        image: Name -> image reward model.
        video: Name -> video reward model.
    """

    settings: config.Rewards
    image: Mapping[str, Any] = field(default_factory=dict)
    video: Mapping[str, Any] = field(default_factory=dict)


def load_terms(settings: config.Rewards, *, weights_dir: Any, device: str) -> RewardTerms:
    """Read the reward models that `settings` names.

    Raises:
        UsageError: Unknown reward.
        PrerequisiteError: Its weights are not here.
        ConfigError: An image reward stands among the video rewards, or the other way round.
    """
    from turbo_eval.metrics import rewards

    def read(scales: Mapping[str, float], kind: str) -> dict[str, Any]:
        found = {}
        for name in scales:
            model = rewards.load(name, weights_dir=weights_dir, device=device)
            if model.info.kind != kind:
                raise ConfigError(
                    f"reward {name!r} stands in rewards.{kind}",
                    why=f"it is a reward for a {model.info.kind}",
                    fix=f"move it to rewards.{model.info.kind}",
                )
            found[name] = model
        return found

    return RewardTerms(settings, read(settings.image, "image"), read(settings.video, "video"))


def image_frames(frames: int, count: int, generator: torch.Generator) -> Tensor:
    """Which frames of a clip an image reward sees: `count` different ones at random, int64."""
    return torch.randperm(frames, generator=generator)[:count]


def video_frames(frames: int, count: int, generator: torch.Generator) -> Tensor:
    """Which frames a video reward sees: `count` evenly spaced ones with a random start, int64.

    With stride s = frames // count the start is uniform in 0..s-1; shorter clips give all frames.
    """
    stride = max(1, frames // count)
    start = int(torch.randint(0, stride, (1,), generator=generator))
    return torch.arange(start, frames, stride)[:count]


def video_score(
    model: Any, clips: Tensor, captions: Sequence[str], generator: torch.Generator
) -> Tensor:
    """Scores [B] of clips [B, K, 3, H, W]; a model that looks through a window has it drawn."""
    if not hasattr(model, "draw_window"):
        score: Tensor = model.score(clips, captions)
        return score
    at = model.draw_window(*clips.shape[-2:], generator)
    through: Tensor = model.score_through(clips, captions, at)
    return through


def reward_losses(
    terms: RewardTerms,
    clean: Tensor,
    captions: Sequence[str],
    decode: Decode,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Minus each reward's mean score times its scale.

    The frames that image rewards see are the same for all of them, and so for video rewards. A
    frame that both kinds see is decoded once.

    Args:
        terms: The rewards.
        clean: Predicted clean latents, scaled, [B, C, F, h, w]; the first `clips` are judged.
        captions: B captions.
        decode: See `Decode`.
        generator: Decides which frames are seen.

    Returns:
        `reward/NAME` -> scalar loss.

    Raises:
        InputError: A reward is not finite; it is named.
    """
    settings = terms.settings
    judged, said = clean[: settings.clips], list(captions[: settings.clips])
    losses: dict[str, Tensor] = {}
    seen: dict[str, Tensor] = {}
    if any(settings.image[name] for name in terms.image):
        seen["image"] = image_frames(clean.shape[2], settings.image_frames, generator)
    if any(settings.video[name] for name in terms.video):
        seen["video"] = video_frames(clean.shape[2], settings.video_frames, generator)
    if not seen:
        return losses
    # Thirteen frames cost about as much as the student itself at full size (benchmarks/flops.py).
    chosen = torch.cat([*seen.values()]).unique()
    decoded = _decoded(judged, chosen, decode)
    if "image" in seen:
        pictures = decoded[:, torch.searchsorted(chosen, seen["image"])]
        # One caption a frame: clip 0's frames first, as they are laid out.
        texts = [text for text in said for _ in seen["image"]]
        for name, model in terms.image.items():
            score = model.score(pictures.flatten(0, 1), texts)
            losses[f"reward/{name}"] = _loss(name, score, settings.image[name])
    if "video" in seen:
        clips = decoded[:, torch.searchsorted(chosen, seen["video"])]
        for name, model in terms.video.items():
            score = video_score(model, clips, said, generator)
            losses[f"reward/{name}"] = _loss(name, score, settings.video[name])
    return losses


def _decoded(latents: Tensor, frames: Tensor, decode: Decode) -> Tensor:
    """Chosen frames of clips, [B, K, 3, H, W]."""
    chosen = latents[:, :, frames.to(latents.device)].permute(0, 2, 1, 3, 4)
    frames_at: Tensor = decode(chosen.flatten(0, 1)).unflatten(0, chosen.shape[:2])
    return frames_at


def _loss(name: str, score: Tensor, scale: float) -> Tensor:
    if not bool(torch.isfinite(score).all()):
        raise InputError(
            f"reward {name!r} is not finite",
            why="a score is NaN or infinite",
            fix="check its weights, lower the learning rate, or leave the reward out",
        )
    return -score.float().mean() * scale


def weighted_frames(
    frames: int, segments: int, attenuation: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One random frame of each of `segments` equal parts, and what each counts.

    The weight falls by `attenuation` with every segment away from the middle; weights sum to 1.

    Returns:
        Frames int64 [S] and weights float32 [S].

    Source: InstructVideo (arXiv 2312.12490), segmental video reward and temporally attenuated
    reward.
    """
    count = min(segments, frames)
    edges = torch.linspace(0, frames, count + 1).round().long()
    chosen = [
        int(torch.randint(int(low), int(high), (1,), generator=generator))
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    distance = (torch.arange(count) - (count - 1) / 2).abs()
    weights = torch.tensor(attenuation) ** distance
    return torch.tensor(chosen), weights / weights.sum()
