"""Our own suite, the manifests, copying outside suites, the list, and the check."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turbo_eval.core.errors import InputError, PrerequisiteError, UsageError
from turbo_eval.prompts import DIMENSIONS, Suite, load, registry
from turbo_eval.prompts.catalogue import catalogue
from turbo_eval.prompts.check import check
from turbo_eval.prompts.dimensions import FACTS, default_dimensions, missing_facts
from turbo_eval.prompts.manifest import data_root, home, read_manifest, synced_folder
from turbo_eval.prompts.mini import load_mini
from turbo_eval.prompts.sync import sync

Write = Callable[[str, Any], Path]


def test_mini_is_read_and_verified(mini_root: Path) -> None:
    suite = load_mini(root=mini_root)
    assert [p.text for p in suite] == ["a red ball", "a ball spins"]
    assert set(suite.prompts[1].dimensions) == {
        "subject_consistency",
        "dynamic_degree",
        "temporal_style",
    }
    assert (suite.name, suite.licence, suite.info["title"]) == ("mini", "Apache-2.0", "Small")


def test_changed_mini_is_refused(mini_root: Path) -> None:
    path = mini_root / "mini" / "mini_full_info.json"
    path.write_text(path.read_text().replace("red ball", "rod ball"))
    with pytest.raises(InputError, match="suite mini is not the published file"):
        load_mini(root=mini_root)


def test_mini_manifest_must_fit(mini_root: Path) -> None:
    manifest = mini_root / "mini" / "manifest.toml"
    whole = manifest.read_text()
    manifest.write_text(whole.replace("count = 3", "count = 4"))
    with pytest.raises(InputError, match="3 entries, its manifest says 4"):
        load_mini(root=mini_root)
    manifest.write_text(whole.replace("licence", "license"))
    with pytest.raises(InputError, match="licence is missing"):
        load_mini(root=mini_root)
    manifest.write_text("name = ")
    with pytest.raises(InputError, match="is damaged"):
        load_mini(root=mini_root)
    manifest.unlink()
    with pytest.raises(PrerequisiteError, match="manifest of suite mini is missing"):
        load_mini(root=mini_root)
    (mini_root / "mini" / "mini_full_info.json").unlink()
    with pytest.raises(PrerequisiteError, match="suite mini is missing"):
        load_mini(root=mini_root)


def test_shipped_manifests_hold_facts_and_no_data() -> None:
    for name, count in (("vbench", 946), ("evalcrafter", 700)):
        manifest = read_manifest(name)
        assert (manifest.name, manifest.count, len(manifest.sha256)) == (name, count, 64)
        assert manifest.files[0].sha256 == manifest.sha256
        assert {path.name for path in (data_root() / name).iterdir()} == {"manifest.toml"}


def test_home_follows_the_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert home() == tmp_path / "home"
    monkeypatch.delenv("TURBO_EVAL_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert home() == tmp_path / "xdg" / "turbo-eval"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".cache" / "turbo-eval"


def test_sync_copies_verifies_and_repeats(clone: Path) -> None:
    first = {result.suite: result for result in sync(clone)}
    assert len(first["vbench"].copied) == 9
    assert first["evalcrafter"].copied == ("prompts700.txt", "metadata.json")
    for name in first["vbench"].copied:
        copy = synced_folder("vbench") / name
        assert copy.read_bytes() == (clone / "vbench" / name).read_bytes()
    again = sync(clone)
    assert [result.copied for result in again] == [(), ()]
    assert len(again[0].unchanged) == 9
    (synced_folder("vbench") / "VBench_full_info.json").write_text("damaged")
    assert sync(clone, ["vbench"])[0].copied == ("VBench_full_info.json",)


def test_sync_takes_one_suite_from_its_own_folder(clone: Path) -> None:
    (result,) = sync(clone / "evalcrafter")
    assert result.suite == "evalcrafter"
    (clone / "vbench" / "VBench_full_info.json").unlink()
    (result,) = sync(clone / "vbench")
    assert result.missing == ("VBench_full_info.json",)


def test_sync_writes_nothing_when_a_file_was_changed(clone: Path) -> None:
    (clone / "evalcrafter" / "metadata.json").write_text("{}")
    with pytest.raises(InputError, match="nothing was copied"):
        sync(clone)
    assert not synced_folder("vbench").exists()


def test_sync_refuses_half_of_evalcrafter(clone: Path) -> None:
    (clone / "evalcrafter" / "metadata.json").unlink()
    with pytest.raises(InputError, match="only a part of evalcrafter: metadata.json"):
        sync(clone / "evalcrafter")


def test_sync_says_what_is_wrong_with_the_folder(clone: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        sync(tmp_path / "absent")
    with pytest.raises(InputError, match="it is a file"):
        sync(clone / "vbench" / "VBench_full_info.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds nothing of vbench or evalcrafter"):
        sync(tmp_path / "empty")
    with pytest.raises(InputError, match="holds nothing of evalcrafter"):
        sync(clone / "vbench", ["evalcrafter"])
    with pytest.raises(UsageError, match="did you mean vbench"):
        sync(clone, ["vbnch"])
    with pytest.raises(UsageError, match="ships with turbo-eval"):
        sync(clone, ["mini"])


def test_sync_into_a_place_that_cannot_be_written(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TURBO_EVAL_HOME", str(tmp_path / "file"))
    with pytest.raises(PrerequisiteError, match="cannot write"):
        sync(clone)


def test_catalogue_tells_ready_from_absent(clone: Path) -> None:
    before = {row.name: row for row in catalogue()}
    assert not before["vbench"].ready
    assert "prompts sync" in before["vbench"].how
    assert before["vbench"].prompts == 4
    assert before["custom:FILE"].ready
    sync(clone)
    after = {row.name: row for row in catalogue()}
    assert after["vbench"].ready
    assert (after["vbench"].prompts, after["vbench"].dimensions) == (3, 4)
    assert after["vbench:category:NAME"].ready
    assert after["evalcrafter"].prompts == 3
    (synced_folder("evalcrafter") / "metadata.json").write_text("{}")
    broken = {row.name: row for row in catalogue()}["evalcrafter"]
    assert not broken.ready
    assert "is not the published file" in broken.how


def test_check_finds_what_is_missing(write: Write) -> None:
    rows = [{"prompt": "a ball", "dimension": ["color", "scene"]}]
    findings = {f.what: f for f in check(load(write("p.json", rows)))}
    assert not findings["facts"].passed
    assert "2 missing, first color.color" in findings["facts"].detail
    assert findings["coverage"].passed
    suite = load(write("p.txt", "a ball"))
    assert all(finding.passed for finding in check(suite))
    empty = Suite("custom", (), "", "", "")
    assert not {f.what: f for f in check(empty)}["coverage"].passed


def test_check_asks_more_of_our_own_suite(mini_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turbo_eval.prompts.manifest.data_root", lambda: mini_root)
    findings = {f.what: f for f in check(load_mini(root=mini_root))}
    assert findings["checksum"].passed
    assert findings["count"].passed
    assert not findings["coverage"].passed
    assert "not served: background_consistency" in findings["coverage"].detail


def test_facts_of_every_dimension() -> None:
    aux: dict[str, Any] = {
        "object_class": {"object": "dog"},
        "multiple_objects": {"object": "dog and cat"},
        "color": {"color": "red"},
        "appearance_style": {"appearance_style": "oil painting"},
        "scene": {"scene": {"scene": "alley"}},
        "spatial_relationship": {
            "spatial_relationship": {"object_a": "a", "object_b": "b", "relationship": "on"}
        },
    }
    assert aux.keys() == FACTS.keys()
    for name in DIMENSIONS:
        assert missing_facts(name, aux) == []
        assert bool(missing_facts(name, {})) == (name in FACTS)
    assert missing_facts("scene", {"scene": {"scene": "alley"}}) == ["scene.scene.scene"]
    assert missing_facts("color", {"color": {"color": " "}}) == ["color.color"]
    assert set(default_dimensions(aux)) == set(DIMENSIONS) - {"human_action"}


def test_a_plug_in_may_add_a_suite() -> None:
    ours = Suite("theirs", (), "there", "MIT", "0")
    name = f"theirs-{os.getpid()}"
    registry().add(name, lambda: ours)
    try:
        assert load(name) is ours
        assert name in {row.name for row in catalogue()}
    finally:
        registry.cache_clear()
