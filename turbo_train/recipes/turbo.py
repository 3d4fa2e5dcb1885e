"""T2V-Turbo: distillation plus rewards on the prediction that it computes anyway.

Source: T2V-Turbo (arXiv 2405.18750), algorithm 1.
"""

import torch

from turbo_train.data.batch import Batch
from turbo_train.distil import predict
from turbo_train.recipes.common import Losses, Parts, distil, draw, rewarded, video_share
from turbo_train.student import as_student


def step(parts: Parts, batch: Batch, generator: torch.Generator) -> Losses:
    """Distillation, minus the scaled rewards of the single-step prediction."""
    drawn = draw(parts, batch, generator)
    if not video_share(parts)[0]:
        prediction = predict(
            as_student(parts.network),
            parts.run,
            drawn.latents,
            drawn.noise,
            drawn.index,
            drawn.text,
            drawn.embedding,
        )
        return rewarded(parts, prediction.model_pred, batch, generator)
    prediction, _, loss = distil(parts, drawn)
    return {"distillation": loss, **rewarded(parts, prediction.model_pred, batch, generator)}
