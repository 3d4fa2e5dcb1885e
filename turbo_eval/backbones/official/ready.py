"""Which official files are missing, and whether those that are there load as their networks."""

from importlib import import_module
from pathlib import Path

from turbo_eval.backbones.official import PARTS
from turbo_eval.backbones.official.files import ALL, VOCABULARY, WeightsFile
from turbo_eval.backbones.official.weights import fault, locate
from turbo_eval.core.errors import InputError, PrerequisiteError

_WORDS = 30522


def missing_files(role: str, weights_dir: Path | None = None) -> list[WeightsFile]:
    """The files of a role that are nowhere."""
    return [file for file in ALL if role in file.roles and locate(file, weights_dir) is None]


def damaged_files(role: str, weights_dir: Path | None = None) -> dict[WeightsFile, str]:
    """The files of a role that are there and plainly cannot be used, such as half a download.

    Args:
        role: One of `turbo_eval.backbones.official.PARTS`, or `pixels`.
        weights_dir: The folder of weights that the user named, if any.

    Returns:
        File -> why. Both ends of each are looked at, which takes no time; that nothing is found
        does not say that the file will load.
    """
    found: dict[WeightsFile, str] = {}
    for file in ALL:
        path = locate(file, weights_dir) if role in file.roles else None
        if path is None:
            continue
        try:
            if file is VOCABULARY:
                check_vocabulary(path)
            elif why := fault(path):
                found[file] = why
        except (InputError, PrerequisiteError) as error:
            found[file] = error.why or error.what
    return found


def check_role(role: str, weights_dir: Path | None = None) -> None:
    """Load the network of a role strictly, as a run would, and let it go again.

    Args:
        role: One of `turbo_eval.backbones.official.PARTS`.
        weights_dir: The folder of weights that the user named, if any.

    Raises:
        PrerequisiteError: A file is missing, damaged, or belongs to another network.
    """
    module, _, name = PARTS[role].partition(":")
    getattr(import_module(module), name)(weights_dir=weights_dir).network()


def check_vocabulary(path: Path) -> None:
    """Count the words of the vocabulary.

    Raises:
        InputError: It is another vocabulary.
    """
    found = len(path.read_bytes().splitlines())
    if found != _WORDS:
        raise InputError(
            f"{path} is no vocabulary of bert-base-uncased",
            why=f"it has {found} lines instead of {_WORDS}",
            fix=f"turbo-eval weights pull {VOCABULARY.id} --again",
        )
