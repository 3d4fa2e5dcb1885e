"""From a published system's name to the system; nothing is read but folders.

`turbo_eval.models.load` registers these names, `turbo_eval.models.systems.find_system` asks for
the folders of the teachers among them.
"""

from pathlib import Path
from typing import Any

from turbo_eval.models.protocol import TextToVideo
from turbo_eval.models.published import (
    INDEX,
    SYSTEMS,
    TRAINED_HERE,
    find,
    find_trained,
)
from turbo_eval.models.settings import Settings


def real_names() -> list[str]:
    """Names of the published systems, and of students that are trained here."""
    return [*SYSTEMS, *TRAINED_HERE]


def facts_without_weights(name: str) -> dict[str, Any] | None:
    """What is known of a published system whose files are not here; None for other names."""
    few = name in TRAINED_HERE
    # Students that are trained here draw what the released one of the same teacher draws.
    like = name.replace("vcm-", "t2v-turbo-") if few else name
    system = SYSTEMS.get(like)
    if system is None:
        return None
    student = None if few else system.student
    sources = [source for source in (system.base, student) if source is not None]
    return {
        "width": system.width,
        "height": system.height,
        "frames": system.frames,
        "fps": system.fps,
        "steps": system.steps,
        "guidance": system.guidance,
        "licence": "; ".join(dict.fromkeys(source.licence for source in sources)),
        "description": "Trained here; no weights were published." if few else system.description,
        "files": [
            {"file": s.file or s.names[0], "gigabytes": s.gigabytes, "page": s.page}
            for s in sources
        ],
    }


def known_settings(name: str) -> tuple[str, ...]:
    """The settings of a published system, or of a student that is trained here."""
    from turbo_eval.models.latent_system import COMMON, OWN
    from turbo_eval.models.student import SETTINGS

    return SETTINGS if name in TRAINED_HERE else (*COMMON, *OWN[SYSTEMS[name].kind])


def open_real(
    name: str, values: dict[str, str], *, weights_dir: Path | None, device: str, dtype: str
) -> TextToVideo:
    """Open a published system; its files must be there and are read at the first clip.

    Args:
        name: One of `real_names`.
        values: Settings that were typed after it, such as `fps` or `compat`.
        weights_dir: Folder with weights that the user named, if any.
        device: Where the networks run.
        dtype: `float32`, `float16` or `bfloat16`.

    Raises:
        PrerequisiteError: A file is missing: which, how large, from where, and where it belongs.
        UsageError: A setting is unknown or out of range.
    """
    if name in TRAINED_HERE:
        from turbo_eval.models.student import StudentTextToVideo

        return StudentTextToVideo(
            find_trained(name, weights_dir),
            name=name,
            settings=Settings(name, values),
            weights_dir=weights_dir,
            device=device,
            dtype=dtype,
        )
    from turbo_eval.models.latent_system import LatentTextToVideo

    system = SYSTEMS[name]
    base, student = find(system, weights_dir)
    settings = Settings(name, values)
    return LatentTextToVideo(system, base, student, settings, device=device, dtype=dtype)


def find_real(name: str, weights_dir: Path | None = None) -> Path | None:
    """The folder in diffusers' layout of a published teacher; None for other names.

    VideoCrafter2's checkpoint is converted at the first call.

    Raises:
        PrerequisiteError: Its files are missing or cannot be used.
    """
    system = SYSTEMS.get(name)
    if system is None or system.kind != "teacher":
        return None
    base, _ = find(system, weights_dir)
    if (base / INDEX).is_file():
        return base
    from turbo_eval.models.convert import convert

    return convert(base)
