"""The teacher's recipe: what single frames train, and what switching the time layers changes."""

import torch

from turbo_train.world import teacher
from turbo_train.world.text import WIDTH
from turbo_train.world.vae import LATENT_CHANNELS


def test_later_steps_come_back_to_single_frames_now_and_then() -> None:
    settings = teacher.Settings(pool=16, image_steps=3, mixed_steps=8, video_steps=8, seed=0)
    still = [step for step in range(19) if teacher.is_still(step, settings)]
    assert still == [0, 1, 2, 6, 10]


def _inputs(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, LATENT_CHANNELS, frames, 8, 8, generator=generator)
    return latents, torch.tensor([500]), torch.randn(1, 4, WIDTH, generator=generator)


def test_an_untrained_teacher_treats_every_frame_alone() -> None:
    torch.manual_seed(0)
    unet = teacher.build().eval()
    latents, times, text = _inputs(3)
    with torch.no_grad():
        together = unet(latents, times, text).sample
        teacher.use_time_layers(unet, False)
        alone = unet(latents[:, :, 1:2], times, text).sample
    torch.testing.assert_close(together[:, :, 1:2], alone, rtol=1e-4, atol=1e-5)


def test_time_layers_learn_from_clips_only_and_come_back() -> None:
    torch.manual_seed(0)
    unet = teacher.build()
    latents, times, text = _inputs(1)
    teacher.use_time_layers(unet, False)
    unet(latents, times, text).sample.square().mean().backward()
    still = {name for name, p in unet.named_parameters() if p.grad is None}
    assert still
    assert all("temp_" in name or "transformer_in" in name for name in still)
    teacher.use_time_layers(unet, True)
    latents, times, text = _inputs(3)
    unet(latents, times, text).sample.square().mean().backward()
    grads = dict(unet.named_parameters())
    # Their last layers start at zero, so the gradient reaches those first.
    assert all(
        grads[name].grad is not None for name in still if "proj_out" in name or "conv4.3" in name
    )
    assert not any("forward" in module.__dict__ for module in unet.modules())
