"""Getting a pipeline's repository from the hub, for people who ask for it by its name.

Only safetensors files, configurations and vocabularies are taken: no pickled weights, no code. What
would be loaded is shown before a byte is. Drawing clips never downloads anything.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from turbo_eval.core.errors import PrerequisiteError, UsageError, one_line
from turbo_eval.models.diffusers_families import BASES, FAMILIES
from turbo_eval.models.diffusers_files import WEIGHTS
from turbo_eval.models.diffusers_folder import candidates, is_repository
from turbo_eval.models.published import INDEX, MODELSCOPE, VIDEOCRAFTER2

_SMALL: Final = (".json", ".txt", ".model", ".jinja")
_NOTES: Final = ("README.md", "LICENSE", "LICENSE.txt", "LICENSE.md")


@dataclass(frozen=True, slots=True)
class Download:
    """What a repository would take.

    Attributes:
        repository: OWNER/NAME.
        revision: The commit it stands at.
        name: Its pipeline's class.
        folder: Where the files go.
        files: File to bytes; 0 where the hub does not tell.
    """

    repository: str
    revision: str
    name: str
    folder: Path
    files: Mapping[str, int]

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(self.files.values())


def plan_download(repository: str, weights_dir: Path | None) -> Download:
    """Ask the hub what a repository holds.

    Args:
        repository: OWNER/NAME.
        weights_dir: The weights folder; `weights` when None.

    Raises:
        UsageError: The name has another form, or the class draws no video from a prompt.
        PrerequisiteError: The hub cannot be reached, or has no such repository.
    """
    if not is_repository(repository):
        raise UsageError(f"{repository!r} names no repository", fix="write it as OWNER/NAME")
    folder = candidates(repository, weights_dir)[-1]
    try:
        from huggingface_hub import HfApi, hf_hub_download

        info: Any = HfApi().model_info(repository, files_metadata=True, timeout=20)
        sizes = {file.rfilename: int(file.size or 0) for file in info.siblings}
        index = Path(hf_hub_download(repository, INDEX, revision=info.sha))
        described = json.loads(index.read_text(encoding="utf-8"))
    except Exception as error:
        raise unreachable(repository, folder, error) from None
    name = str(described.get("_class_name"))
    if name not in FAMILIES and name not in BASES:
        raise UsageError(
            f"{repository} holds {name}, which draws no video from a prompt alone",
            fix="turbo-eval models classes lists the classes that do",
        )
    components = [
        key
        for key, value in described.items()
        if not key.startswith("_") and isinstance(value, list) and None not in value
    ]
    files = {file: sizes[file] for file in wanted_files(sorted(sizes), components)}
    return Download(repository, str(info.sha), name, folder, files)


def wanted_files(names: list[str], components: list[str]) -> Iterator[str]:
    """The files of a repository that its pipeline reads; weights of other precisions stay there.

    Args:
        names: Every file, sorted.
        components: Those that the index names.
    """
    for name in names:
        component, slash, file = name.partition("/")
        if not slash:
            if name == INDEX or name in _NOTES:
                yield name
        elif component in components and "/" not in file:
            # `model.fp16.safetensors` is the same network in another number format.
            variant = file.endswith(WEIGHTS) and file.count(".") > 1
            if (file.endswith(WEIGHTS) and not variant) or _is_small(file):
                yield name


def _is_small(file: str) -> bool:
    # `model.safetensors.index.fp16.json` lists the files of another number format.
    variant_list = ".index." in file and (
        not file.endswith(f"{WEIGHTS}.index.json") or file.count(".") > 3
    )
    return file.endswith(_SMALL) and not variant_list


def download(plan: Download) -> Path:
    """Fetch the files; what is there already is kept, and a broken download goes on.

    Raises:
        PrerequisiteError: The hub cannot be reached, or the disk is full.
    """
    try:
        from huggingface_hub import snapshot_download

        snapshot_download(
            plan.repository,
            revision=plan.revision,
            local_dir=plan.folder,
            allow_patterns=list(plan.files),
        )
    except Exception as error:
        raise unreachable(plan.repository, plan.folder, error, plan.files) from None
    return plan.folder


def unreachable(
    repository: str, folder: Path, error: Exception, files: Mapping[str, int] | None = None
) -> PrerequisiteError:
    """The error for a hub that does not answer: which files, how large, and where they belong."""
    if files:
        largest = max(files, key=lambda name: files[name])
        what = (
            f"{len(files)} files ({sum(files.values()) / 1e9:.1f} GB, the largest {largest}) "
            f"of {repository} could not be loaded"
        )
    else:
        known = [s.gigabytes for s in (MODELSCOPE, VIDEOCRAFTER2) if s.hub == repository]
        size = f"about {known[0]:g} GB in all" if known else "sizes are known to the hub only"
        what = f"{INDEX} of {repository} could not be loaded ({size})"
    return PrerequisiteError(
        what,
        why=f"{type(error).__name__}: {one_line(str(error))[:160]}",
        fix=f"get the repository on a machine with access and copy its folder to {folder}",
    )
