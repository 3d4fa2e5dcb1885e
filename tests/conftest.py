"""What tests of several packages share."""

import sysconfig
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

import pytest


@pytest.fixture
def no_installed_vbench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the vbench package of this environment; one that a test puts on the path is found."""
    installed = sysconfig.get_path("purelib")

    def find(name: str) -> ModuleSpec | None:
        spec = find_spec(name)
        places = (spec.submodule_search_locations or []) if spec else []
        return None if any(place.startswith(installed) for place in places) else spec

    monkeypatch.setattr("turbo_eval.prompts.vbench.find_spec", find)
