import time
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import requested
from tests.report import made_up
from turbo_eval.report import ClipEntry, write_report

pytestmark = pytest.mark.browser

FRAME = 1 / 8

TIMES = "return [...arguments[0].querySelectorAll('video')].map(v => v.currentTime)"
PAUSED = "return [...arguments[0].querySelectorAll('video')].map(v => v.paused)"


def first_row(page: Any) -> Any:
    row = page.find_element(By.CSS_SELECTOR, ".clip-row")
    page.execute_script("arguments[0].scrollIntoView()", row)
    return row


def times(page: Any, row: Any) -> list[float]:
    found: list[float] = page.execute_script(TIMES, row)
    return found


def wait(condition: Any, what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen in {seconds} s"
        time.sleep(0.05)


def test_page_loads_from_disk_without_errors_or_network(page: Any, index: Path) -> None:
    row = first_row(page)
    wait(lambda: len(loaded(page)) == 6, "loading of six clips")
    row.find_element(By.CSS_SELECTOR, ".play").click()
    wait(lambda: min(times(page, row)) > 0.2, "playing")
    assert [e for e in page.get_log("browser") if e["level"] in {"SEVERE", "WARNING"}] == []
    urls = requested(page)
    assert index.as_uri() in urls
    # The browser draws its own video controls from data: addresses, which reach no network.
    outside = [u for u in urls if not u.startswith((index.parent.as_uri() + "/", "data:"))]
    assert outside == []
    pictures = page.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth])"
    )
    assert len(pictures) == 2
    assert all(done and width > 100 for done, width in pictures)


def loaded(page: Any) -> list[int]:
    found: list[int] = page.execute_script(
        "return [...document.querySelectorAll('video')].filter(v => v.readyState > 0)"
        ".map(v => v.videoWidth)"
    )
    return found


def test_hostile_prompt_is_text(page: Any) -> None:
    heading = page.find_element(By.CSS_SELECTOR, ".clip-row h3").text
    assert "<script>alert('x')</script>" in heading
    assert page.execute_script("return document.scripts.length") == 1


def test_one_button_plays_the_clips_of_a_row_in_sync(page: Any) -> None:
    row = first_row(page)
    button = row.find_element(By.CSS_SELECTOR, ".play")
    button.click()
    wait(lambda: min(times(page, row)) > 0.1, "playing")
    assert button.text == "Pause"
    # Sampled inside the page for three seconds, so over at least one loop of the two-second clip.
    apart = page.execute_async_script(
        """
        const [row, done] = arguments, videos = [...row.querySelectorAll('video')];
        const apart = [], end = performance.now() + 3000;
        const look = () => {
          const at = videos.map((v) => v.currentTime);
          if (videos.every((v) => !v.paused && !v.ended && !v.seeking))
            apart.push(Math.max(...at) - Math.min(...at));
          if (performance.now() < end) setTimeout(look, 20); else done(apart);
        };
        look();
        """,
        row,
    )
    assert len(apart) > 10
    assert sorted(apart)[len(apart) // 2] <= FRAME
    assert max(apart) <= 2 * FRAME
    others = page.find_elements(By.CSS_SELECTOR, ".clip-row")[1:]
    assert all(all(page.execute_script(PAUSED, other)) for other in others)
    button.click()
    wait(lambda: button.text == "Play", "pausing")
    wait(lambda: max(times(page, row)) - min(times(page, row)) < 1e-4, "stopping on one frame")
    assert all(page.execute_script(PAUSED, row))


def test_scrubbing_moves_every_clip(page: Any) -> None:
    row = first_row(page)
    wait(lambda: len(loaded(page)) == 6, "loading")
    page.execute_script(
        "const s = arguments[0].querySelector('.scrub'); s.value = '1.3';"
        "s.dispatchEvent(new Event('input', {bubbles: true}))",
        row,
    )
    wait(lambda: all(abs(t - 1.3) < 0.01 for t in times(page, row)), "scrubbing")
    assert row.find_element(By.CSS_SELECTOR, ".time").text == "1.30 s of 2.00 s"


def test_keyboard_alone_is_enough(page: Any) -> None:
    row = first_row(page)
    wait(lambda: len(loaded(page)) == 6, "loading")
    page.execute_script("arguments[0].focus()", row)

    def press(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    def at(frame: float) -> bool:
        return all(abs(t / FRAME - frame) < 0.5 for t in times(page, row))

    press(Keys.ARROW_RIGHT)
    wait(lambda: at(1), "step to frame 1")
    press(Keys.ARROW_RIGHT)
    wait(lambda: at(2), "step to frame 2")
    press(Keys.ARROW_LEFT)
    wait(lambda: at(1), "step back")
    ActionChains(page).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
    wait(lambda: at(6), "five frames on")
    press(Keys.END)
    wait(lambda: at(15), "the last frame")
    press(Keys.HOME)
    wait(lambda: at(0), "the first frame")
    press(Keys.SPACE)
    wait(lambda: not any(page.execute_script(PAUSED, row)), "playing by the space bar")
    press(Keys.SPACE)
    wait(lambda: all(page.execute_script(PAUSED, row)), "pausing by the space bar")
    # The button keeps its own meaning of the space bar: one press, one change.
    press(Keys.TAB)
    assert page.switch_to.active_element.get_attribute("class") == "play"
    press(Keys.SPACE)
    wait(lambda: not any(page.execute_script(PAUSED, row)), "playing by the button")
    press(Keys.SPACE)
    wait(lambda: all(page.execute_script(PAUSED, row)), "pausing by the button")
    press(Keys.TAB, Keys.HOME)
    wait(lambda: at(0), "the first frame, from the slider")
    press(Keys.ARROW_RIGHT)
    wait(lambda: at(1), "one frame, from the slider")


def test_play_all_plays_the_rows_in_view_and_pauses_them(page: Any) -> None:
    page.set_window_size(1280, 3000)
    button = page.find_element(By.ID, "play-all")
    page.execute_script("arguments[0].scrollIntoView()", button)
    rows = page.find_elements(By.CSS_SELECTOR, ".clip-row")
    button.click()
    for row in rows:
        wait(lambda row=row: not any(page.execute_script(PAUSED, row)), "playing all")
    assert button.text == "Pause all"
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    for row in rows:
        wait(lambda row=row: all(page.execute_script(PAUSED, row)), "pausing all")


def test_without_loop_a_row_stops_at_its_end(page: Any) -> None:
    row = first_row(page)
    page.find_element(By.ID, "loop").click()
    button = row.find_element(By.CSS_SELECTOR, ".play")
    button.click()
    wait(lambda: button.text == "Pause", "playing")
    wait(lambda: button.text == "Play", "the end")
    assert min(times(page, row)) > 1.8


@pytest.mark.parametrize(("kind", "name"), [("markdown", "results.md"), ("latex", "results.tex")])
def test_copy_buttons_put_the_file_on_the_clipboard(
    page: Any, index: Path, kind: str, name: str
) -> None:
    page.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    page.execute_script("window.focus()")
    button = page.find_element(By.CSS_SELECTOR, f"[data-copy=table-{kind}]")
    button.click()
    wait(lambda: page.find_element(By.CSS_SELECTOR, ".said").text == "Copied", "copying")
    text = page.execute_async_script(
        "const done = arguments[0]; navigator.clipboard.readText().then(done, e => done('' + e))"
    )
    assert text == (index.parent / "tables" / name).read_text("utf-8")
    assert page.switch_to.active_element == button


def test_copying_works_where_the_new_way_is_refused(page: Any) -> None:
    page.execute_script(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined});"
        "document.addEventListener('copy', () => { window.taken = getSelection().toString()"
        " || document.activeElement.value; })"
    )
    page.find_element(By.CSS_SELECTOR, "[data-copy=table-markdown]").click()
    wait(lambda: page.find_element(By.CSS_SELECTOR, ".said").text == "Copied", "copying")
    assert page.execute_script("return window.taken").startswith("| Dimension")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_sticks_out_sideways(page: Any, width: int) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700},
    )
    try:
        wide, window = page.execute_script(
            "return [document.documentElement.scrollWidth, innerWidth]"
        )
        assert wide <= window
        if width < 700:
            cell = page.find_element(By.CSS_SELECTOR, ".results td")
            assert cell.rect["width"] <= width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def contrasts(page: Any) -> list[tuple[str, float]]:
    """WCAG contrast of every element with its own text against the nearest opaque background."""
    found: list[tuple[str, float]] = page.execute_script(
        """
        const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
        const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255;
          return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = (e) => { for (; e; e = e.parentElement) {
          const c = rgb(getComputedStyle(e).backgroundColor);
          if (c.length < 4 || c[3] > 0.99) return c; } return [255, 255, 255]; };
        const out = [];
        for (const e of document.querySelectorAll('body *')) {
          if (!e.checkVisibility() || !e.innerText) continue;
          if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
          const a = light(rgb(getComputedStyle(e).color)), b = light(ground(e));
          const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          out.push([e.className + ' ' + e.tagName, contrast]);
        }
        return out;
        """
    )
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(page: Any, theme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": theme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        found = contrasts(page)
        assert len(found) > 100
        assert [pair for pair in found if pair[1] < 4.5] == []
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_clips_of_other_lengths_wait_for_the_longest(browser: Any, tmp_path: Path) -> None:
    short = made_up.ball(tmp_path / "short.mp4", frames=8)
    long = made_up.ball(tmp_path / "long.mp4", frames=16)
    entries = [
        ClipEntry(made_up.TEACHER, "p", "0" * 16, 0, short, {}),
        ClipEntry(made_up.STUDENT, "p", "0" * 16, 0, long, {}),
    ]
    browser.get(write_report(made_up.summary(), entries, tmp_path / "out").as_uri())
    row = first_row(browser)
    row.find_element(By.CSS_SELECTOR, ".play").click()
    wait(lambda: times(browser, row)[1] > 1.3, "the longer clip playing on")
    assert times(browser, row)[0] == pytest.approx(1.0, abs=0.05)
    wait(lambda: times(browser, row)[1] < 0.9, "the loop")
    wait(lambda: 0.2 < times(browser, row)[1] < 0.9, "the second round")
    both = times(browser, row)
    assert abs(both[0] - both[1]) <= 2 * FRAME
