"""Training configurations: the packaged ones, and what is refused and how."""

from pathlib import Path

import pytest

from turbo_eval.core.errors import ConfigError, UsageError
from turbo_train import config


@pytest.mark.parametrize("name", config.names())
def test_every_packaged_configuration_is_whole(name: str) -> None:
    settings = config.load(name)
    assert settings.name == name
    assert settings.description
    # The interval of the solver must divide the schedule, or target and solver disagree.
    assert 1000 % settings.consistency.solver_steps == 0


def test_published_settings() -> None:
    """Numbers of the paper's section 4 and of the authors' script."""
    turbo = config.load("turbo-vc2")
    assert (turbo.optimizer.lr, turbo.steps, turbo.lora.rank) == (1e-5, 10_000, 64)
    assert (turbo.consistency.w_min, turbo.consistency.w_max) == (5.0, 15.0)
    assert turbo.rewards.image == {"hpsv2.1": 1.0}
    assert turbo.rewards.video == {"internvideo2": 2.0}
    scales = config.load("turbo-ms").rewards
    assert (scales.image["hpsv2.1"], scales.video["viclip"]) == (2.0, 3.0)
    assert config.load("turbo-v2").consistency.solver_steps == 200


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stepz=5", "nearest: steps"),
        ("optimizer.lrr=5", "nearest: lr"),
        ("optimizer.lr=-1", "optimizer.lr"),
        ("recipe=vmc", "recipe"),
        ("recipe=turbo", "needs a reward"),
        ("rewards.image={a=1.0}", "takes no rewards"),
        ("consistency.w_max=1", "below w_min"),
        ("steps", "has no value"),
        ("steps.more=1", "single value"),
        ("optimizer.lr=nan", "optimizer.lr"),
    ],
)
def test_bad_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.load("mini-vcm", [override])


def test_overrides_are_typed() -> None:
    settings = config.load("mini-vcm", ["steps=7", "optimizer.lr=1e-4", "compat=authors"])
    assert (settings.steps, settings.optimizer.lr, settings.compat) == (7, 1e-4, "authors")


def test_unknown_names_suggest_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mini-turbo"):
        config.load("mini-turob")
    broken = tmp_path / "mine.toml"
    broken.write_text("recipe = [", encoding="utf-8")
    with pytest.raises(ConfigError, match="no TOML file"):
        config.load(str(broken))


def test_only_settings_that_change_no_number_may_change_on_the_way() -> None:
    settings = config.load("mini-vcm")
    assert config.load("mini-vcm", ["steps=9", "save_every=1", "track=none"]).key == settings.key
    assert config.load("mini-vcm", ["seed=9"]).key != settings.key
    assert config.load("mini-vcm", ["data.stream=9"]).key != settings.key
