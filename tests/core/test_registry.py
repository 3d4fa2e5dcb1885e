"""Registry: lazy targets, aliases, duplicates, plug-ins, suggestions."""

import sys
from importlib import metadata

import pytest

from turbo_eval.core.errors import ConfigError, PrerequisiteError, UsageError
from turbo_eval.core.registry import Registry


def test_targets_are_imported_on_first_use() -> None:
    sys.modules.pop("colorsys", None)
    registry: Registry[object] = Registry("thing")
    registry.add("convert", "colorsys:rgb_to_hsv")
    assert "colorsys" not in sys.modules
    assert callable(registry.get("convert"))
    assert registry.get("convert") is registry.get("convert")


def test_aliases_resolve_and_are_not_listed() -> None:
    registry: Registry[int] = Registry("thing")
    registry.add("long-name", 7, aliases=["short"])
    assert registry.get("short") == 7
    assert registry.resolve("short") == "long-name"
    assert registry.names() == ["long-name"]
    assert "short" in registry


@pytest.mark.parametrize("name", ["one", "uno"])
def test_duplicates_are_refused_and_change_nothing(name: str) -> None:
    registry: Registry[int] = Registry("thing")
    registry.add("one", 1, aliases=["uno"])
    with pytest.raises(ConfigError, match="twice"):
        registry.add(name, 2, aliases=["new"])
    with pytest.raises(ConfigError, match="twice"):
        registry.add("new", 2, aliases=[name])
    assert registry.names() == ["one"]


def test_unknown_name_is_a_usage_error_with_suggestions() -> None:
    registry: Registry[int] = Registry("suite")
    registry.add("vbench", 1)
    with pytest.raises(UsageError, match="did you mean vbench"):
        registry.get("vbnech")


def test_missing_library_names_the_extra() -> None:
    registry: Registry[object] = Registry("reward")
    registry.add("far", "no_such_library_anywhere.part:thing", extra="rewards")
    registry.add("ours", "turbo_eval.no_such_module:thing")
    # A module that is missing inside the target's own package is a bug, not a missing library.
    with pytest.raises(ModuleNotFoundError):
        registry.get("ours")
    with pytest.raises(ModuleNotFoundError):
        registry.get("far")


def test_missing_dependency_of_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise ModuleNotFoundError("no", name="ftfy")

    monkeypatch.setattr("importlib.import_module", fail)
    registry: Registry[object] = Registry("reward")
    registry.add("hps", "turbo_eval.metrics.rewards.hps:reward", extra="rewards")
    with pytest.raises(PrerequisiteError, match=r"turbo-eval\[rewards\]"):
        registry.get("hps")


def test_malformed_target_is_refused() -> None:
    registry: Registry[object] = Registry("thing")
    with pytest.raises(ConfigError, match="module:attribute"):
        registry.add("x", "module_without_attribute")


def test_entry_points_of_installed_packages_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    point = metadata.EntryPoint("theirs", "colorsys:hsv_to_rgb", "turbo_eval.things")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point])
    registry: Registry[object] = Registry("thing", entry_points="turbo_eval.things")
    registry.add("ours", "colorsys:rgb_to_hsv")
    assert registry.names() == ["ours", "theirs"]
    assert callable(registry.get("theirs"))
