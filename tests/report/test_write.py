import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.report import made_up
from turbo_eval.core.errors import PrerequisiteError, UsageError
from turbo_eval.report import ClipEntry, write_report
from turbo_eval.report.clips import choose
from turbo_eval.video import decode


class Tags(HTMLParser):
    """Collects start tags with their attributes, and the text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in {"script", "style"}:
            self.words.append(data)


def parsed(index: Path) -> Tags:
    tags = Tags()
    tags.feed(index.read_text("utf-8"))
    return tags


def digests(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    clips = made_up.clips(folder / "source")
    return write_report(made_up.summary(), clips, folder / "out")


def test_the_folder_holds_what_the_contract_says(report: Path) -> None:
    names = set(digests(report.parent))
    clips = {n for n in names if n.startswith("clips/")}
    assert names - clips == {
        "index.html",
        "summary.json",
        "tables/results.md",
        "tables/results.csv",
        "tables/results.tex",
        "figures/bars.svg",
        "figures/radar.svg",
    }
    assert len(clips) == 6
    assert all(re.fullmatch(r"clips/[0-9a-f]{16}\.mp4", n) for n in clips)
    assert json.loads((report.parent / "summary.json").read_text()) == made_up.summary()


def test_same_input_same_bytes_also_over_an_older_report(report: Path, tmp_path: Path) -> None:
    clips = made_up.clips(tmp_path / "source")
    out = tmp_path / "again"
    write_report(made_up.summary(), clips, out)
    assert digests(out) == digests(report.parent)
    (out / "clips" / ("f" * 16 + ".mp4")).write_bytes(b"left by an older report")
    (out / "clips" / "mine.txt").write_text("not ours")
    write_report(made_up.summary(), clips, out)
    assert digests(out).keys() - digests(report.parent).keys() == {"clips/mine.txt"}
    write_report(made_up.summary(), clips, out, max_prompts=1)
    assert len(list((out / "clips").glob("*.mp4"))) == 2


def test_nothing_is_loaded_from_outside_and_every_local_file_exists(report: Path) -> None:
    for tag, attrs in parsed(report).tags:
        for name in ("src", "href"):
            link = attrs.get(name)
            if link is None or link.startswith("#"):
                continue
            assert not re.match(r"[a-z]+:|//", link), (tag, link)
            assert (report.parent / link).is_file(), (tag, link)
    assert not re.search(r"https?://", report.read_text("utf-8"))


def test_hostile_prompts_stay_text(report: Path) -> None:
    page = parsed(report)
    text = " ".join(" ".join(page.words).split())
    assert "<script>alert('x')</script> \"quoted\" & {{ 7 * 7 }}" in text
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "\u202e" not in text
    assert "\x00" not in text
    for tag, attrs in page.tags:
        assert "style" not in attrs, tag
        assert not any(name.startswith("on") for name in attrs), tag


def test_hostile_names_reasons_and_settings_stay_text(tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>"
    whole = made_up.summary(partial=[bad], judges=bad, settings={bad: bad, "suite": bad})
    whole["models"] = {bad: whole["models"][made_up.TEACHER]}
    whole["failures"] = [dict.fromkeys(("stage", "model", "prompt", "item", "reason"), bad)]
    clips = [ClipEntry(bad, bad, "0" * 16, 0, None, {}, reason=bad)]
    page = parsed(write_report(whole, clips, tmp_path / "out"))
    images = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert images == ["figures/bars.svg", "figures/radar.svg"]


def test_the_policy_allows_exactly_our_script_and_style(report: Path) -> None:
    text = report.read_text("utf-8")
    policy = next(a for t, a in parsed(report).tags if t == "meta" and "http-equiv" in a)["content"]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert text.count("<style>") == text.count("<script>") == 1


def test_the_page_says_who_judged_and_that_it_is_a_subset(tmp_path: Path) -> None:
    whole = made_up.summary(partial=["a subset: 24 of 170 prompts of suite mini"])
    words = " ".join(" ".join(parsed(write_report(whole, [], tmp_path / "a")).words).split())
    assert "Mini judges" in words
    assert "numbers hold inside the mini world, they are not VBench scores" in words
    assert "A subset: 24 of 170 prompts of suite mini" in words
    assert "Clips side by side" not in words
    other = parsed(write_report(made_up.summary(judges="mine"), [], tmp_path / "b"))
    assert "not VBench scores" in " ".join(other.words)
    drawn = parsed(write_report(made_up.summary(judges="official-random"), [], tmp_path / "c"))
    assert "RANDOM WEIGHTS: these numbers mean nothing" in " ".join(drawn.words)


def test_a_partial_page_prints_no_total(tmp_path: Path) -> None:
    index = write_report(made_up.without("scene"), [], tmp_path / "out")
    for name in ("index.html", "tables/results.md", "tables/results.tex"):
        text = (index.parent / name).read_text("utf-8")
        assert "73.60" not in text, name
        assert "75.60" not in text, name
        assert "artial" in text, name


def test_clips_that_cannot_be_shown_say_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    entries = [
        ClipEntry(made_up.TEACHER, "p", "0" * 16, 0, broken, {}),
        ClipEntry(made_up.STUDENT, "p", "0" * 16, 0, None, {}, reason="out of memory"),
    ]
    page = parsed(write_report(made_up.summary(), entries, tmp_path / "out"))
    text = " ".join(page.words)
    assert "No clip: the file is gone or cannot be played" in text
    assert "No clip: out of memory" in text
    assert not any(tag == "video" for tag, _ in page.tags)


def test_a_clip_in_another_container_is_encoded_again(tmp_path: Path) -> None:
    import av

    source = tmp_path / "odd.avi"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 33, 31, "yuv420p"
        for shade in range(0, 200, 40):
            pixels = np.full((31, 33, 3), shade, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    entries = [ClipEntry(made_up.TEACHER, "p", "0" * 16, 0, source, {}, video_id="a" * 16)]
    write_report(made_up.summary(), entries, tmp_path / "out")
    made = decode(tmp_path / "out" / "clips" / ("a" * 16 + ".mp4"))
    assert made.frames.shape == (5, 32, 34, 3)


def test_choose_takes_one_complete_seed_of_each_prompt_spread_evenly() -> None:
    entries = [
        ClipEntry(model, f"p{i}", f"{i:016x}", seed, None if (i, seed) == (0, 0) else Path("x"))
        for i in range(100)
        for seed in (0, 1)
        for model in ("a", "b", "not shown")
    ]
    rows = choose(entries, ["b", "a"], 24)
    assert len(rows) == 24
    assert rows[0].seed_index == 1
    assert all(row.seed_index == 0 for row in rows[1:])
    assert [c.model for c in rows[5].clips if c] == ["b", "a"]
    numbers = [int(row.prompt_id, 16) for row in rows]
    assert numbers == sorted(numbers)
    assert numbers[-1] >= 95
    assert choose(entries, ["a"], 0) == []


def test_clip_names_never_come_from_text() -> None:
    hostile = ClipEntry("../m", "p/../q", "../../x", 0, None, video_id="../../etc/passwd")
    assert re.fullmatch(r"[0-9a-f]{16}", hostile.key)
    other = ClipEntry("../m2", "p/../q", "../../x", 0, None, video_id="../../etc/passwd")
    assert other.key != hostile.key


def test_bad_places_and_counts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PrerequisiteError, match="in the way"):
        write_report(made_up.summary(), [], tmp_path / "file")
    with pytest.raises(UsageError):
        write_report(made_up.summary(), [], tmp_path / "out", max_prompts=-1)
