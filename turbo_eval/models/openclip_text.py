"""VideoCrafter2's text encoder: OpenCLIP's text tower without its last block.

The features are those of the second last block after the final norm, all 77 of them, without
pooling or projection. transformers' `CLIPTextModel` with one block less is the same function, so
that is what the tensors are read into.

Source: T2V-Turbo (arXiv 2405.18750) and the published VideoCrafter2 checkpoint's names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from turbo_eval.core.errors import InputError, PrerequisiteError
from turbo_eval.models.lvdm_names import fitted

PREFIX = "cond_stage_model.model."
"""What the text tower's names start with in a whole checkpoint."""
HEAD_WIDTH = 64
_ENDS = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_LAYER = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
# Parts of the tower that the features do not depend on.
_UNUSED = ("text_projection", "logit_scale", "attn_mask")


def _blocks(state: Mapping[str, Tensor]) -> int:
    numbers = {key.split(".")[2] for key in state if key.startswith("transformer.resblocks.")}
    return len(numbers)


def _renamed(state: Mapping[str, Tensor], kept: int) -> dict[str, Tensor]:
    """Tensors under transformers' names; attention's one matrix becomes three."""
    wanted: dict[str, tuple[str, int | None]] = {
        ours: (theirs, None) for theirs, ours in _ENDS.items()
    }
    for i in range(kept):
        theirs, ours = f"transformer.resblocks.{i}", f"encoder.layers.{i}"
        for part in ("weight", "bias"):
            for row, leaf in enumerate(("q_proj", "k_proj", "v_proj")):
                wanted[f"{ours}.self_attn.{leaf}.{part}"] = f"{theirs}.attn.in_proj_{part}", row
            for old, new in _LAYER.items():
                wanted[f"{ours}.{new}.{part}"] = f"{theirs}.{old}.{part}", None
    used = {source for source, _ in wanted.values()}
    last = f"transformer.resblocks.{kept}."
    left = [k for k in state if k not in used and k not in _UNUSED and not k.startswith(last)]
    for what, names in (
        ("lacks", sorted(used - state.keys())),
        ("has unknown", sorted(left)),
    ):
        if names:
            raise InputError(
                f"the text encoder's checkpoint {what} {len(names)} tensors",
                why=f"such as {', '.join(names[:3])}",
                fix="check that it is a VideoCrafter2 checkpoint",
            )
    return {
        ours: state[theirs] if row is None else state[theirs].chunk(3)[row]
        for ours, (theirs, row) in wanted.items()
    }


def _config(state: Mapping[str, Tensor], head_width: int) -> CLIPTextConfig:
    blocks = _blocks(state)
    embedding = state.get("token_embedding.weight")
    positions = state.get("positional_embedding")
    inner = state.get("transformer.resblocks.0.mlp.c_fc.weight")
    if embedding is None or positions is None or inner is None or blocks < 2:
        raise InputError(
            "the checkpoint holds no OpenCLIP text tower",
            why=f"it has {blocks} blocks of one",
            fix="check that it is a whole VideoCrafter2 checkpoint",
        )
    words, width = embedding.shape
    return CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=inner.shape[0],
        num_hidden_layers=blocks - 1,
        num_attention_heads=max(1, width // head_width),
        max_position_embeddings=positions.shape[0],
        hidden_act="gelu",
        # Only pooling reads them, which nothing here does; they must lie in the vocabulary.
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=0,
    )


def prepare_text_encoder(
    state_dict: Mapping[str, Tensor], *, head_width: int = HEAD_WIDTH
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The encoder without storage, and the checkpoint's tensors under its names.

    Arguments and errors as in `text_encoder_from_openclip`.
    """
    config = _config(state_dict, head_width)
    with torch.device("meta"):
        encoder: nn.Module = CLIPTextModel(config)
    tensors = _renamed(state_dict, int(config.num_hidden_layers))
    # Older releases of transformers have one more part in every name.
    if any(name.startswith("text_model.") for name, _ in encoder.named_parameters()):
        tensors = {f"text_model.{name}": tensor for name, tensor in tensors.items()}
    return encoder, fitted(encoder, tensors, "text encoder")


def text_encoder_from_openclip(
    state_dict: Mapping[str, Tensor], *, head_width: int = HEAD_WIDTH
) -> CLIPTextModel:
    """Build the text encoder from OpenCLIP's tensors.

    Args:
        state_dict: Tensors by OpenCLIP's names (`transformer.resblocks.0.attn.in_proj_weight`, ...)
            without the prefix `cond_stage_model.model.`; `text_projection`, `logit_scale` and the
            last block are not used.
        head_width: Width of a head, 64 in ViT-H-14.

    Returns:
        transformers' `CLIPTextModel` in eval mode, whose `last_hidden_state` [B, 77, D] is the
        features of the second last block after the final norm.

    Raises:
        InputError: Tensors are missing, left over or of another shape.
    """
    empty, tensors = prepare_text_encoder(state_dict, head_width=head_width)
    # On the meta device its table of positions, which no file holds, would have no values.
    encoder = CLIPTextModel(empty.config)
    encoder.load_state_dict({k: v.clone() for k, v in tensors.items()}, strict=True, assign=True)
    return encoder.eval()


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a tokenizer of transformers returns too.

    Attributes:
        input_ids: int64 [N, length].
        attention_mask: 1 up to the token that ends a text, 0 behind it.
    """

    input_ids: Tensor
    attention_mask: Tensor


class OpenClipWords:
    """OpenCLIP's tokenizer: CLIP's word pieces, cut or padded with zeros to a fixed length.

    Args:
        length: Tokens per text.

    Attributes:
        model_max_length: `length`, under the name that diffusers' pipelines ask for.
    """

    def __init__(self, length: int = 77) -> None:
        self.model_max_length = length

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from open_clip.tokenizer import SimpleTokenizer
        except ImportError as error:
            raise PrerequisiteError(
                "VideoCrafter2's words are read with open_clip, which is not installed",
                why=str(error),
                fix="pip install 'turbo-eval[rewards]'",
            ) from error
        return SimpleTokenizer(context_length=self.model_max_length)

    def tokenize(self, text: str) -> list[str]:  # noqa: ARG002
        """Nothing: diffusers' pipelines look here for learned words, and there are none."""
        return []

    def __call__(self, texts: Sequence[str], **_: Any) -> Tokens:
        """Tokens of texts; one that is too long is cut and still ends properly.

        Args:
            texts: N texts.
            **_: How transformers' tokenizers are told to pad and cut; the length is fixed here.

        Raises:
            PrerequisiteError: open_clip is not installed.
        """
        ids: Tensor = self._tokenizer(list(texts))
        # The token that ends a text has the largest number.
        ends = ids.argmax(dim=1, keepdim=True)
        mask = torch.arange(ids.shape[1])[None, :] <= ends
        return Tokens(ids, mask.to(ids.dtype))
