"""What tests of several packages share."""

import signal
import sysconfig
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

import pytest

# A shell that starts us in the background, or nohup, may hand SIGINT on as ignored; programs that
# tests start and interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that no process is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def no_installed_vbench(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the vbench package of this environment; one that a test puts on the path is found."""
    installed = sysconfig.get_path("purelib")

    def find(name: str) -> ModuleSpec | None:
        spec = find_spec(name)
        places = (spec.submodule_search_locations or []) if spec else []
        return None if any(place.startswith(installed) for place in places) else spec

    monkeypatch.setattr("turbo_eval.prompts.vbench.find_spec", find)
