"""Weights into a network: every name and shape must fit, and what does not is named."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from turbo_eval.backbones.official.files import WeightsFile
from turbo_eval.core.errors import PrerequisiteError

if TYPE_CHECKING:
    from torch import Tensor, nn

_NAMED: Final = 3
"""How many names are told of each kind."""


class ForeignWeights(PrerequisiteError):  # noqa: N818 (names the condition)
    """A file holds the weights of another network than the one that it is named after.

    Args:
        what: As in `TurboError`.
        file: Whose weights they should be; None when only a name is known.
        why: As in `TurboError`.
        fix: As in `TurboError`.
    """

    def __init__(
        self, what: str, *, file: WeightsFile | None = None, why: str = "", fix: str = ""
    ) -> None:
        super().__init__(what, why=why, fix=fix)
        self.file = file


def load_strict(
    module: "nn.Module", state: Mapping[str, "Tensor"], file: WeightsFile | str
) -> "nn.Module":
    """Give a module its weights; every name and shape must fit.

    The module takes the tensors themselves, so mapped files are not copied; floating-point ones
    are changed to the module's type first. A module on the `meta` device becomes a real one.

    Args:
        module: The network.
        state: Its state dict.
        file: Whose weights they are, for messages.

    Returns:
        The module.

    Raises:
        PrerequisiteError: They belong to another network; the first three names that differ are
            given.
    """
    wanted = module.state_dict()
    check_strict(wanted, state, file)
    fitting = {
        key: tensor.to(wanted[key].dtype) if tensor.is_floating_point() else tensor
        for key, tensor in state.items()
    }
    module.load_state_dict(fitting, strict=True, assign=True)
    return module.requires_grad_(False).eval()


def check_strict(
    wanted: Mapping[str, "Tensor"], state: Mapping[str, "Tensor"], file: WeightsFile | str
) -> None:
    """Compare the names and shapes of a state with those of a network.

    Raises:
        PrerequisiteError: They differ; the first three names that do are given.
    """
    name = file if isinstance(file, str) else file.file
    again = "list" if isinstance(file, str) or not file.url else f"pull {file.id} --again"
    missing = [key for key in wanted if key not in state]
    strange = [key for key in state if key not in wanted]
    shaped = [key for key in wanted if key in state and wanted[key].shape != state[key].shape]
    if missing or strange or shaped:
        raise ForeignWeights(
            f"the weights {name} belong to another network",
            why="; ".join(
                f"{len(keys)} {what} ({_first(keys)})"
                for what, keys in (
                    ("missing", missing), ("unknown", strange), ("of another shape", shaped),
                )
                if keys
            ),
            fix=f"get the official file: turbo-eval weights {again}",
            file=None if isinstance(file, str) else file,
        )  # fmt: skip


def _first(keys: Iterable[str]) -> str:
    named = list(keys)
    return ", ".join(named[:_NAMED]) + (", ..." if len(named) > _NAMED else "")
