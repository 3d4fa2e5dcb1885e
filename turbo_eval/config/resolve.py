"""Merge the sources of settings and remember where each value came from.

Order, strongest first: flag, environment variable, file, default. A value is checked only after
the merge, so a bad value in the file does no harm when a flag replaces it.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from turbo_eval.config.tree import ModelConfig, RunConfig
from turbo_eval.core import plugins
from turbo_eval.core.errors import ConfigError, TurboError, UsageError, nearest

PREFIX = "TURBO_EVAL_"
DEFAULT_FILE = Path("turbo-eval.toml")
FILE_VARIABLE = f"{PREFIX}CONFIG"
# Variables with our prefix that are no settings of a run.
OTHER_VARIABLES = {
    FILE_VARIABLE: "Path of the configuration file (the flag --config wins).",
    f"{PREFIX}HOME": "Folder for copies of outside suites (the user's cache folder when not set).",
    f"{PREFIX}VBENCH_INFO": "File to read in place of the VBench_full_info.json found by itself.",
    f"{PREFIX}NO_BROWSER": "1: `make test` leaves out the tests that need a real browser.",
    plugins.VARIABLE: "Plug-ins to load: module:function, several separated by commas.",
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """A checked configuration and the origin of every top-level value.

    Attributes:
        config: the merged settings.
        origins: key -> `flag --seeds`, `env TURBO_EVAL_SEEDS`, `file NAME` or `default`.
    """

    config: RunConfig
    origins: Mapping[str, str]


def environment_name(key: str) -> str:
    """Name of the environment variable that sets `key`."""
    return PREFIX + key.upper()


def resolve(
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Resolved:
    """Merge flags, environment, file and defaults into one checked configuration.

    Args:
        flags: values typed on the command line; a key whose value is None was not typed.
        file: TOML file; when None, the variable TURBO_EVAL_CONFIG or ./turbo-eval.toml, if any.
        env: environment to read; the process's own when None.

    Returns:
        The configuration and the origin of each value.

    Raises:
        ConfigError: unreadable file, unknown key (the nearest one is named) or refused value.
        UsageError: the refused value is a flag's.
    """
    env = os.environ if env is None else env
    values: dict[str, Any] = {}
    origins = dict.fromkeys(RunConfig.model_fields, "default")
    path = _config_file(file, env)
    if path is not None:
        found = _read_toml(path)
        values |= found
        origins |= dict.fromkeys(found, f"file {path}")
    for key, value in _from_environment(env).items():
        values[key] = value
        origins[key] = f"env {environment_name(key)}"
    for key, value in (flags or {}).items():
        if value is not None:
            values[key] = value
            origins[key] = _flag(key)
    return Resolved(_checked(values, origins), origins)


def restore(
    frozen: Mapping[str, Any], operational: Mapping[str, Any], *, source: Path
) -> RunConfig:
    """Check the frozen settings of a run, with some that may differ between two starts.

    Args:
        frozen: What the run was started with.
        operational: Flags of this start; None means not typed.
        source: Where the frozen settings lie, for messages.

    Raises:
        ConfigError: A frozen setting is refused.
        UsageError: A flag is refused.
    """
    given = {key: value for key, value in operational.items() if value is not None}
    origins = dict.fromkeys(frozen, f"file {source}")
    origins |= {key: _flag(key) for key in given}
    return _checked({**frozen, **given}, origins)


def _checked(values: Mapping[str, Any], origins: Mapping[str, str]) -> RunConfig:
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise _explain(error.errors()[0], origins) from None


def _config_file(file: Path | None, env: Mapping[str, str]) -> Path | None:
    if file is not None:
        return file
    if named := env.get(FILE_VARIABLE):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"configuration file {path} was not found",
            fix="check the path, or leave --config away to use the defaults",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"configuration file {path} cannot be read",
            why=str(error),
            fix="give a readable UTF-8 TOML file",
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"configuration file {path} is not valid TOML",
            why=str(error),
            fix="mend the named line",
        ) from None


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in sorted(env):
        # Completion scripts use _TURBO_EVAL_COMPLETE, which does not start with the prefix.
        if not name.startswith(PREFIX) or name in OTHER_VARIABLES:
            continue
        key = name.removeprefix(PREFIX).lower()
        field = RunConfig.model_fields.get(key)
        if field is None:
            known = [environment_name(each) for each in RunConfig.model_fields]
            raise ConfigError(
                f"environment variable {name} is unknown",
                why="no setting of a run has this name",
                fix=_suggest(name, [*known, *OTHER_VARIABLES]),
            )
        values[key] = _parse_text(field, env[name])
    return values


def _parse_text(field: FieldInfo, text: str) -> Any:
    """Turn a variable's text into a typed value; what cannot be read stays text and is refused."""
    if _is_list(field.annotation):
        return [part.strip() for part in text.split(",") if part.strip()]
    annotation: Any = field.annotation
    try:
        return TypeAdapter(annotation).validate_strings(text)
    except ValidationError:
        return text


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) is list:
        return True
    return any(get_origin(part) is list for part in get_args(annotation))


def _explain(error: ErrorDetails, origins: Mapping[str, str]) -> TurboError:
    """Turn pydantic's first finding into one line: what, where it came from, why, what to type."""
    # A flag that cannot be is wrong usage; a file or a variable is configuration.
    location = [str(part) for part in error["loc"] if not _is_union_tag(part)]
    key = ".".join(location)
    origin = origins.get(location[0], "flag") if location else "file"
    if error["type"] == "extra_forbidden":
        fields = ModelConfig.model_fields if len(location) > 1 else RunConfig.model_fields
        return ConfigError(
            f"unknown key {key!r} ({origin})",
            why="no setting has this name",
            fix=_suggest(location[-1], list(fields)),
        )
    reason = error["msg"].removeprefix("Value error, ")
    shown = repr(error["input"])
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    fields = ModelConfig.model_fields if len(location) > 2 else RunConfig.model_fields
    name = location[-1 if len(location) > 2 else 0] if location else ""
    field = fields.get(name)
    fix = f"{name}: {field.description}" if field is not None else ""
    choices = _choices(field)
    if choices and isinstance(error["input"], str):
        near = nearest(error["input"], choices)
        reason = f"it is one of {', '.join(choices)}"
        fix = f"did you mean {' or '.join(near)}?" if near else fix
    kind = UsageError if origin.startswith("flag") else ConfigError
    return kind(f"{key} = {shown} is refused ({origin})", why=reason, fix=fix)


def _choices(field: FieldInfo | None) -> list[str]:
    """The words that a setting may be; empty when it is no such setting."""
    if field is None:
        return []
    if get_origin(field.annotation) is Literal:
        return [str(word) for word in get_args(field.annotation)]
    return [str(word) for word in field.examples or ()]


def _flag(key: str) -> str:
    # One model is typed at a time.
    return f"flag --{'model' if key == 'models' else key.replace('_', '-')}"


def _is_union_tag(part: int | str) -> bool:
    # For `int | "auto"` pydantic adds the branch it tried to the path; no user typed that.
    return isinstance(part, str) and (
        part in {"int", "str"} or part.startswith(("literal[", "constrained-", "function-"))
    )


def _suggest(name: str, known: list[str]) -> str:
    near = nearest(name, known)
    if near:
        return "did you mean " + " or ".join(near) + "?"
    return "known are " + ", ".join(sorted(known))
