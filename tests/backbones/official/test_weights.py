"""Files are found, read without running them, and refused when they are not what they should be."""

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from turbo_eval.backbones.official.archive import inert_tensors
from turbo_eval.backbones.official.files import BY_ID
from turbo_eval.backbones.official.marks import RandomMark, checksum, mark_random, random_mark
from turbo_eval.backbones.official.random_weights import save_official
from turbo_eval.backbones.official.weights import (
    CONVERTED,
    find,
    find_vocabulary,
    folders,
    load_strict,
    locate,
    place,
    read_state,
)
from turbo_eval.core.errors import PrerequisiteError
from turbo_eval.core.hashing import file_sha256

RAFT, CLIP, AMT = BY_ID["raft"], BY_ID["clip-b32"], BY_ID["amt"]


def some_state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {
        "visual.conv1.weight": torch.randn(4, 3, 2, 2, generator=generator).half(),
        "blocks.0.attn.in_proj_weight": torch.randn(6, 2, generator=generator),
        "blocks.1.ln.bias": torch.randn(3, generator=generator),
        "logit_scale": torch.tensor(4.6),
        "vocab_size": torch.tensor(49408),
    }


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


# -- where files lie


def test_folders_are_searched_in_order(
    tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed, named, cache = tmp_path / "typed", tmp_path / "named", own_home / "vbench"
    monkeypatch.setenv("TURBO_EVAL_WEIGHTS_DIR", str(named))
    assert folders(typed) == [typed, named, cache]
    for folder in (cache / "raft_model" / "models", named, typed / "raft_model" / "models"):
        folder.mkdir(parents=True)
        (folder / RAFT.file).write_bytes(b"x")
        assert locate(RAFT, typed) == folder / RAFT.file
    # Flat comes before the layout of VBench's cache.
    (typed / RAFT.file).write_bytes(b"x")
    assert locate(RAFT, typed) == typed / RAFT.file


def test_a_missing_file_names_itself_the_folders_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError) as raised:
        find(RAFT, tmp_path)
    text = str(raised.value)
    assert "raft-things.pth" in text
    assert str(tmp_path) in text
    assert f"turbo-eval weights pull raft --weights-dir {tmp_path}" in text
    with pytest.raises(PrerequisiteError, match=r"vocab\.txt.*pull bert-vocabulary"):
        find_vocabulary(tmp_path)


def test_new_files_go_where_the_official_program_looks_unless_a_folder_is_named(
    tmp_path: Path, own_home: Path
) -> None:
    assert place(RAFT, tmp_path) == tmp_path / RAFT.file
    assert place(RAFT) == own_home / "vbench" / "raft_model" / "models" / RAFT.file


# -- reading


@pytest.mark.parametrize("legacy", [False, True])
def test_wrapper_and_prefix_are_taken_off(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "a.pth"
    state = {f"module.{name}": tensor for name, tensor in some_state().items()}
    torch.save({"model": state, "epoch": 3}, path, _use_new_zipfile_serialization=not legacy)
    for _ in range(2):
        assert_same(read_state(path, wrapper="model", prefix="module."), some_state())
    # What can be mapped as it is needs no copy; the old format gets one.
    assert path.with_name(path.name + CONVERTED).exists() == legacy


def test_a_converted_copy_is_not_used_for_another_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    for factor in (1, 2):
        state = {"w": torch.arange(4.0) * factor}
        torch.save(state, path, _use_new_zipfile_serialization=False)
        os.utime(path, (factor, factor))
        assert_same(read_state(path), state)


def test_a_folder_that_cannot_be_written_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pth"
    torch.save(some_state(), path, _use_new_zipfile_serialization=False)
    # Files stand where the copies would go; also a superuser cannot write through them.
    path.with_name(path.name + CONVERTED).mkdir()
    wall = tmp_path / "wall"
    wall.write_text("")
    monkeypatch.setenv("TURBO_EVAL_HOME", str(wall))
    assert_same(read_state(path), some_state())


def test_torchscript_archives_are_read_and_can_be_opened_by_torch(tmp_path: Path) -> None:
    path = tmp_path / CLIP.file
    save_official(path, some_state(), CLIP)
    assert_same(read_state(path), some_state())
    assert_same(inert_tensors(path), some_state())
    official = torch.jit.load(path).state_dict()
    assert {name: t.dtype for name, t in official.items()} == {
        name: t.dtype for name, t in some_state().items()
    }


def test_mapped_tensors_can_be_written_without_changing_the_file(tmp_path: Path) -> None:
    path = tmp_path / CLIP.file
    save_official(path, some_state(), CLIP)
    before = file_sha256(path)
    for tensor in inert_tensors(path).values():
        tensor.zero_()
    assert file_sha256(path) == before


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_in_a_checkpoint_runs(tmp_path: Path, legacy: bool) -> None:
    path, trap = tmp_path / "a.pth", tmp_path / "trap"
    torch.save(
        {"state_dict": {"w": torch.ones(2)}, "evil": Evil(trap)},
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    if legacy:
        # Only archives have a reader that goes around such things.
        with pytest.raises(PrerequisiteError, match="wants to call") as raised:
            read_state(path, wrapper="state_dict")
        assert "weights_only" not in str(raised.value), "torch's advice to run it is not passed on"
    else:
        assert_same(read_state(path, wrapper="state_dict"), {"w": torch.ones(2)})
    assert not trap.exists()
    pickle.loads(pickle.dumps(Evil(trap)))
    assert trap.exists(), "the trap works where pickles run"


def test_a_part_that_is_no_dictionary_and_a_file_without_tensors_say_so(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"model": Evil(tmp_path / "trap")}, path)
    with pytest.raises(PrerequisiteError, match="its part 'model' is no dictionary"):
        read_state(path, wrapper="model")
    # The file of another network under this name.
    torch.save({"state_dict": some_state(), "epoch": 3}, path)
    with pytest.raises(PrerequisiteError, match="no tensors; it starts with 'state_dict', 'epoch'"):
        read_state(path)
    with pytest.raises(PrerequisiteError, match="no part 'model'; it starts with 'state_dict'"):
        read_state(path, wrapper="model")
    path.write_bytes(pickle.dumps({"w": Evil(tmp_path / "trap")}, protocol=4))
    with pytest.raises(PrerequisiteError, match="nothing of it was run"):
        read_state(path)
    assert not (tmp_path / "trap").exists()


def test_settings_of_another_library_beside_the_tensors_stay_shut(tmp_path: Path) -> None:
    path = tmp_path / AMT.file
    other = SimpleNamespace(a=[1, 2], b={"c": Path("x")}, d=OrderedDict(e=torch.ones(1)))
    torch.save({"state_dict": some_state(), "config": other}, path)
    assert_same(read_state(path, wrapper="state_dict"), some_state())


@pytest.mark.parametrize("file", [CLIP, AMT])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_half_downloaded_file_is_one_clear_error(tmp_path: Path, file: Any, share: float) -> None:
    path = tmp_path / file.file
    save_official(path, some_state(), file)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(PrerequisiteError, match="downloaded only in part") as raised:
        read_state(path, wrapper=file.wrapper)
    assert f"turbo-eval weights pull {file.id}" in raised.value.fix


def test_a_half_downloaded_old_file_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"w": torch.randn(5000)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for length in (3, 60, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:length])
        with pytest.raises(PrerequisiteError, match=r"only in part|cannot be used"):
            read_state(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"<!doctype html><title>404</title>", "web page"),
        (b"PK\x03\x04" + b"\0" * 40, "cut off"),
    ],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(PrerequisiteError, match=said):
        read_state(path)


def test_other_contents_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save([1, 2], path)
    with pytest.raises(PrerequisiteError, match="holds a list"):
        read_state(path)
    torch.save({"a": 1}, path)
    with pytest.raises(PrerequisiteError, match="no tensors"):
        read_state(path)
    with pytest.raises(PrerequisiteError, match="no part 'model'; it starts with 'a'"):
        read_state(path, wrapper="model")
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, path)
    with pytest.raises(PrerequisiteError, match="lack the prefix"):
        read_state(path, prefix="module.")


def test_a_tensor_that_reaches_beyond_its_data_is_refused(tmp_path: Path) -> None:
    path, forged = tmp_path / "a.pt", tmp_path / "b.pt"
    save_official(path, {"w": torch.arange(64.0)}, CLIP)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(forged, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry.filename, data[:8] if "/data/" in entry.filename else data)
    with pytest.raises(PrerequisiteError, match="cut off"):
        read_state(forged)


# -- strict loading


def test_weights_of_another_network_name_three_keys() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = dict(module.state_dict())
    load_strict(module, state, RAFT)
    state["0.weight"] = torch.ones(3, 3)
    del state["1.bias"]
    state |= {f"x{k}": torch.ones(1) for k in range(5)}
    with pytest.raises(PrerequisiteError) as raised:
        load_strict(module, state, RAFT)
    text = str(raised.value)
    assert "raft-things.pth belong to another network" in text
    assert "1 missing (1.bias)" in text
    assert "5 unknown (x0, x1, x2, ...)" in text
    assert "1 of another shape (0.weight)" in text


def test_a_judge_names_the_file_that_is_of_another_network(tmp_path: Path) -> None:
    from turbo_eval.backbones.official import load_part

    folder = tmp_path / "my weights"
    folder.mkdir()
    torch.save({"cls_token": torch.ones(1)}, folder / RAFT.file)
    with pytest.raises(PrerequisiteError) as raised:
        load_part("flow", weights_dir=folder).load()
    # A pull into VBench's cache would change nothing: this folder is looked into first.
    assert str(raised.value).startswith(f"the weights {folder / RAFT.file} belong to another")
    assert "1 unknown (cls_token)" in raised.value.why
    assert raised.value.fix.endswith(f"pull raft --weights-dir '{folder}' --again")


def test_strict_loading_fills_a_module_without_memory_in_its_own_type() -> None:
    with torch.device("meta"):
        module = nn.Linear(2, 3)
    weight = torch.randn(3, 2).half()
    load_strict(module, {"weight": weight, "bias": torch.zeros(3)}, RAFT)
    assert module.weight.dtype is torch.float32
    assert not module.weight.requires_grad
    assert torch.equal(module(torch.eye(2)), weight.float().T)


# -- checksums and marks


def test_checksums_are_kept_and_follow_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from turbo_eval.backbones.official import marks

    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = checksum(path)
    assert first == file_sha256(path)
    monkeypatch.setattr(marks, "_known", {})
    monkeypatch.setattr(marks, "file_sha256", lambda _: pytest.fail("read twice"))
    assert checksum(path) == first
    monkeypatch.undo()
    path.write_bytes(b"three")
    assert checksum(path) == file_sha256(path) != first


@pytest.mark.parametrize("file", [CLIP, AMT])
def test_the_mark_survives_copying_and_hinders_no_loader(tmp_path: Path, file: Any) -> None:
    path = tmp_path / file.file
    save_official(path, some_state(), file)
    assert random_mark(path) is None
    mark_random(path, RandomMark(file.file, 101))
    moved = path.rename(tmp_path / "copy.bin")
    assert random_mark(moved) == RandomMark(file.file, 101)
    assert_same(read_state(moved, wrapper=file.wrapper), some_state())
    if file.torchscript:
        assert len(torch.jit.load(moved).state_dict()) == len(some_state())
    else:
        assert "state_dict" in torch.load(moved, weights_only=True)


def test_other_files_have_no_mark(tmp_path: Path) -> None:
    assert random_mark(tmp_path / "none") is None
    path = tmp_path / "a"
    path.write_bytes(b"PK\x03\x04 not really")
    assert random_mark(path) is None
