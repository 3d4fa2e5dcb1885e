"""Merging settings: order, origin, and refusals that name the key and the nearest one."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_eval.config import ModelConfig, RunConfig, environment_name, resolve
from turbo_eval.config.tree import OPERATIONAL
from turbo_eval.core.errors import ConfigError

KEYS = ("seeds", "limit", "seed_base")
maybe_number = st.none() | st.integers(min_value=1, max_value=999)


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@given(
    flags=st.fixed_dictionaries(dict.fromkeys(KEYS, maybe_number)),
    env=st.fixed_dictionaries(dict.fromkeys(KEYS, maybe_number)),
    file=st.fixed_dictionaries(dict.fromkeys(KEYS, maybe_number)),
)
def test_strongest_source_wins_for_every_mixture(
    tmp_path_factory: pytest.TempPathFactory,
    flags: dict[str, int | None],
    env: dict[str, int | None],
    file: dict[str, int | None],
) -> None:
    lines = [f"{key} = {value}" for key, value in file.items() if value is not None]
    path = _file(tmp_path_factory.mktemp("settings"), "\n".join(lines))
    variables = {environment_name(k): str(v) for k, v in env.items() if v is not None}

    resolved = resolve(flags, file=path, env=variables)

    for key in KEYS:
        default = RunConfig.model_fields[key].default
        ranked = [
            (flags[key], f"flag --{key.replace('_', '-')}"),
            (env[key], f"env {environment_name(key)}"),
            (file[key], f"file {path}"),
        ]
        value, origin = next((pair for pair in ranked if pair[0] is not None), (default, "default"))
        assert getattr(resolved.config, key) == value
        assert resolved.origins[key] == origin


def test_every_key_has_an_origin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _no_file(monkeypatch, tmp_path)
    resolved = resolve({}, env={})
    assert resolved.origins == dict.fromkeys(RunConfig.model_fields, "default")


def test_file_beside_the_user_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _no_file(monkeypatch, tmp_path)
    (tmp_path / "turbo-eval.toml").write_text("seeds = 5\n", encoding="utf-8")
    resolved = resolve(env={})
    assert resolved.config.seeds == 5
    assert resolved.origins["seeds"] == "file turbo-eval.toml"


def test_file_named_by_variable(tmp_path: Path) -> None:
    path = _file(tmp_path, "seeds = 4\n")
    assert resolve(env={"TURBO_EVAL_CONFIG": str(path)}).config.seeds == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('models = ["mini-teacher@4"]', ModelConfig(name="mini-teacher", steps=4)),
        ('models = ["folder:a@b/c"]', ModelConfig(name="folder:a@b/c")),
        (
            '[[models]]\nname = "mini-teacher"\nsteps = 8\nguidance = 7',
            ModelConfig(name="mini-teacher", steps=8, guidance=7.0),
        ),
    ],
)
def test_models_as_string_and_as_table(tmp_path: Path, text: str, expected: ModelConfig) -> None:
    assert resolve(file=_file(tmp_path, text), env={}).config.models == [expected]


def test_labels_tell_samplings_of_one_model_apart() -> None:
    labels = [
        ModelConfig(name="m").label,
        ModelConfig(name="m", steps=4).label,
        ModelConfig(name="m", steps=4, guidance=7.5).label,
        ModelConfig(name="m", guidance=7.5).label,
    ]
    assert len(set(labels)) == len(labels)


def test_environment_reads_lists_unions_and_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _no_file(monkeypatch, tmp_path)
    env = {
        "TURBO_EVAL_DIMENSIONS": "color, scene",
        "TURBO_EVAL_MODELS": "mini-teacher@50,mini-teacher@4",
        "TURBO_EVAL_BATCH_SIZE": "8",
        "TURBO_EVAL_FAIL_THRESHOLD": "0.25",
        "TURBO_EVAL_RUN": "elsewhere",
        "HOME": "ignored",
    }
    config = resolve(env=env).config
    assert config.dimensions == ["color", "scene"]
    assert [model.steps for model in config.models] == [50, 4]
    assert config.batch_size == 8
    assert config.fail_threshold == 0.25
    assert config.run == Path("elsewhere")
    assert resolve(env={"TURBO_EVAL_BATCH_SIZE": "auto"}).config.batch_size == "auto"


def test_replaced_bad_value_does_no_harm(tmp_path: Path) -> None:
    path = _file(tmp_path, "seeds = -3\n")
    assert resolve({"seeds": 2}, file=path, env={}).config.seeds == 2


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("seed = 3", ["'seed'", "seeds", "settings.toml"]),
        ('[[models]]\nname = "m"\nstep = 3', ["step'", "steps"]),
        ("seeds = 0", ["seeds = 0", "greater than or equal to 1"]),
        ('seeds = "5"', ["seeds = '5'", "integer"]),
        ("seeds = true", ["seeds = True", "integer"]),
        ('batch_size = "wide"', ["batch_size = 'wide'"]),
        ("batch_size = 0", ["batch_size = 0"]),
        ('dtype = "float8"', ["dtype = 'float8'", "float32"]),
        ('device = "gpu"', ["device = 'gpu'", "cuda"]),
        ("dimensions = []", ["dimensions = []"]),
        ('models = [""]', ["models.0.name = ''"]),
        ("seeds = ", ["not valid TOML"]),
    ],
)
def test_refusals_say_what_and_where(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(file=_file(tmp_path, text), env={})
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_unknown_variable_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="TURBO_EVAL_SEEDS"):
        resolve(env={"TURBO_EVAL_SEDS": "3"})


@pytest.mark.parametrize("make", ["missing", "folder", "binary"])
def test_unreadable_files_are_refused(tmp_path: Path, make: str) -> None:
    path = tmp_path / "settings.toml"
    if make == "folder":
        path.mkdir()
    elif make == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="settings.toml"):
        resolve(file=path, env={})


@pytest.mark.parametrize(
    ("change", "same"),
    [({"device": "cpu", "batch_size": 2, "run": Path("b")}, True), ({"seeds": 2}, False)],
)
def test_identity_leaves_out_only_what_changes_no_result(
    change: dict[str, Any], same: bool
) -> None:
    assert (RunConfig().identity() == RunConfig(**change).identity()) is same


def test_operational_keys_are_keys_of_the_tree() -> None:
    assert set(OPERATIONAL) <= set(RunConfig.model_fields)
