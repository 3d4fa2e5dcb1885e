"""A real Chromium for the pages. Without one the tests fail, unless a person turned them off."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report import made_up
from turbo_eval.report import write_report

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1280,1000",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the browser tests out only where TURBO_EVAL_NO_BROWSER=1 says so."""
    if os.environ.get("TURBO_EVAL_NO_BROWSER") != "1":
        return
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason="TURBO_EVAL_NO_BROWSER=1"))


# Closed with the last test of this folder: an open page goes on playing its clips.
@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver

    binary = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.fail("no Chromium or chromedriver: run tests/browser/install.sh")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.add_argument("about:blank")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    opened = webdriver.Chrome(options=options, service=service)
    # A loaded machine may need long for one script; the page's own limits are asserted in tests.
    opened.set_script_timeout(60)
    try:
        yield opened
    finally:
        opened.quit()


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two models over three prompts, the first of them hostile."""
    folder = tmp_path_factory.mktemp("page")
    whole = made_up.summary(partial=["a subset: 3 of 170 prompts of suite mini"])
    return write_report(whole, made_up.clips(folder / "source"), folder / "out")


@pytest.fixture
def page(browser: Any, index: Path) -> Any:
    """The browser with the report freshly loaded from disk."""
    # Whatever the browser opened by itself is left, and with it what that still asks for.
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.set_window_size(1280, 1000)
    browser.get(index.as_uri())
    return browser


def requested(browser: Any) -> list[str]:
    """Every address that the page asked for since the log was last read."""
    events = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
