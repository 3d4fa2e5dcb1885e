"""VideoCrafter2's UNet: diffusers' `UNet3DConditionModel` that also knows the frame rate."""

from typing import Any, ClassVar, NamedTuple

import torch
from diffusers import UNet3DConditionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding
from torch import Tensor, nn

from turbo_eval.core.errors import ConfigError
from turbo_eval.models.lvdm_names import Module, unet_modules


class Conditions(NamedTuple):
    """What the network is told beside the timestep and the text.

    Attributes:
        fps: Sinusoids of the frame rate, [B, C].
        guidance: Guidance embedding [B, D], or None.
        motion: v2's motion embedding [B, D], or None.
    """

    fps: Tensor
    guidance: Tensor | None
    motion: Tensor | None


class ConditionEmbedding(TimestepEmbedding):
    """The time MLP, its guidance projection, and a second MLP for the frame rate.

    MLP(t + W_c w) + MLP_fps(fps); with a motion embedding m, W_c w is replaced by
    combine([W_c w, W_m m]).

    Args:
        channels: Width of the sinusoids.
        hidden: Width of the result.
        guidance_dim: Width of the guidance embedding; None for a teacher.
        motion_dim: Width of v2's motion embedding; None without.
    """

    def __init__(
        self, channels: int, hidden: int, *, guidance_dim: int | None, motion_dim: int | None
    ) -> None:
        super().__init__(channels, hidden, cond_proj_dim=guidance_dim)
        self.fps_embedding = TimestepEmbedding(channels, hidden)
        self.motion_cond_proj: nn.Linear | None = None
        self.combine_proj: nn.Linear | None = None
        if motion_dim is not None:
            self.motion_cond_proj = nn.Linear(motion_dim, channels, bias=False)
            self.combine_proj = nn.Linear(2 * channels, channels, bias=False)

    def forward(self, sample: Tensor, condition: Conditions) -> Tensor:
        """The embedding [B, hidden] of sinusoids of the timestep [B, channels]."""
        if condition.guidance is not None:
            term = self.cond_proj(condition.guidance.to(sample.dtype))
            if self.motion_cond_proj and self.combine_proj and condition.motion is not None:
                motion = self.motion_cond_proj(condition.motion.to(sample.dtype))
                term = self.combine_proj(torch.cat([term, motion], dim=1))
            sample = sample + term
        embedded: Tensor = super().forward(sample, None)
        rate: Tensor = self.fps_embedding(condition.fps.to(sample.dtype))
        return embedded + rate


class VideoCrafterUNet(UNet3DConditionModel):
    """The network of VideoCrafter2 and of its students, over latents [B, 4, F, H, W].

    It is diffusers' network with a frame-rate embedding; attention maps, block names and
    `save_pretrained` are diffusers'.

    Args:
        in_channels: Channels of the latents.
        out_channels: Channels of the prediction.
        down_block_types: As in `UNet3DConditionModel`.
        up_block_types: As in `UNet3DConditionModel`.
        block_out_channels: Width of each level.
        layers_per_block: Residual blocks per level.
        cross_attention_dim: Width of the text features.
        attention_head_dim: Width of a head.
        time_cond_proj_dim: Width of the guidance embedding, None for a teacher.
        motion_cond_proj_dim: Width of v2's motion embedding, None without.
        sample_size: Side of the latents; pipelines read it for their default size.
    """

    # Options of the parent that this network does not have.
    ignore_for_config: ClassVar[list[str]] = [
        "act_fn",
        "downsample_padding",
        "mid_block_scale_factor",
        "norm_eps",
        "norm_num_groups",
        "num_attention_heads",
    ]

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 4,
        down_block_types: tuple[str, ...] = (*("CrossAttnDownBlock3D",) * 3, "DownBlock3D"),
        up_block_types: tuple[str, ...] = ("UpBlock3D", *("CrossAttnUpBlock3D",) * 3),
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        cross_attention_dim: int = 1024,
        attention_head_dim: int = 64,
        time_cond_proj_dim: int | None = None,
        motion_cond_proj_dim: int | None = None,
        sample_size: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__(
            sample_size=sample_size,
            in_channels=in_channels,
            out_channels=out_channels,
            down_block_types=down_block_types,
            up_block_types=up_block_types,
            block_out_channels=block_out_channels,
            layers_per_block=layers_per_block,
            cross_attention_dim=cross_attention_dim,
            attention_head_dim=attention_head_dim,
        )
        channels = block_out_channels[0]
        self.time_embedding = ConditionEmbedding(
            channels,
            4 * channels,
            guidance_dim=time_cond_proj_dim,
            motion_dim=motion_cond_proj_dim,
        )
        self.register_to_config(
            time_cond_proj_dim=time_cond_proj_dim, motion_cond_proj_dim=motion_cond_proj_dim
        )

    def released_modules(self) -> list[Module]:
        """The network's modules in lvdm's order of registration."""
        widths = list(self.config.block_out_channels)
        return unet_modules(
            multipliers=[width // widths[0] for width in widths],
            layers=self.config.layers_per_block,
            attends=["CrossAttn" in kind for kind in self.config.down_block_types],
            guidance=self.time_embedding.cond_proj is not None,
            motion=self.time_embedding.motion_cond_proj is not None,
        )

    def released_order(self) -> list[str]:
        """Names of the modules that a released LoRA list has pairs for, in its order.

        v2's motion projections have none: v2 trains all weights.
        """
        left_out = {"motion_cond_proj", "combine_proj"}
        return [m.ours for m in self.released_modules() if m.wrapped and m.lvdm not in left_out]

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        fps: int | Tensor = 16,
        timestep_cond: Tensor | None = None,
        motion_cond: Tensor | None = None,
        return_dict: bool = True,
        **options: Any,
    ) -> Any:
        """Predict the noise in latents.

        Args:
            sample: z_t, [B, C, F, H, W].
            timestep: Training step, a number or int64 [B].
            encoder_hidden_states: Text features [B, L, D].
            fps: Frames per second, one number or integers [B].
            timestep_cond: Guidance embedding [B, D] (`guidance_embedding`), None for a teacher.
            motion_cond: v2's embedding of the motion guidance scale [B, D], None without.
            return_dict: False returns a tuple of one tensor.
            **options: Passed to `UNet3DConditionModel.forward`.

        Returns:
            `UNet3DConditionOutput` with `sample` [B, C, F, H, W].

        Raises:
            ConfigError: An embedding is given that this network has no projection for.
        """
        embedding = self.time_embedding
        for given, layer, name in (
            (timestep_cond, embedding.cond_proj, "guidance"),
            (motion_cond, embedding.motion_cond_proj, "motion"),
        ):
            if given is not None and layer is None:
                raise ConfigError(
                    f"this network has no projection for a {name} embedding",
                    why="it is a teacher, or its weights were loaded as one's",
                    fix="load a student, or leave the embedding out",
                )
        rates = torch.as_tensor(fps, device=sample.device).expand(len(sample))
        conditions = Conditions(self.time_proj(rates), timestep_cond, motion_cond)
        return super().forward(
            sample,
            timestep,
            encoder_hidden_states,
            timestep_cond=conditions,
            return_dict=return_dict,
            **options,
        )


def tell_frame_rate(unet: nn.Module, fps: int) -> None:
    """Tell a network a frame rate in every call that tells it none, as those of a pipeline.

    Args:
        unet: A network; nothing changes for one that does not ask for the rate.
        fps: Frames per second.
    """

    def told(_: nn.Module, given: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return given, {"fps": fps, **options}

    if isinstance(unet, VideoCrafterUNet):
        unet.register_forward_pre_hook(told, with_kwargs=True)
