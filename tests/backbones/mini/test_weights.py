import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from turbo_eval.backbones.mini import weights
from turbo_eval.core.errors import PrerequisiteError


@pytest.fixture
def state() -> dict[str, Tensor]:
    return {"a": torch.tensor([1.0, 0.1, -3.0]), "n": torch.tensor([4, 5])}


def test_what_is_saved_comes_back_as_float32(tmp_path: Path, state: dict[str, Tensor]) -> None:
    weights.save("scene", state, tmp_path)
    back = weights.load("scene", tmp_path)
    assert back["a"].dtype is torch.float32
    assert torch.equal(back["a"], state["a"].half().float())
    assert torch.equal(back["n"], state["n"])


def test_one_changed_byte_is_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = weights.save("scene", state, tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(PrerequisiteError, match="damaged") as caught:
        weights.load("scene", tmp_path)
    assert caught.value.exit_code == 4


def test_weights_that_nobody_lists_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    with pytest.raises(PrerequisiteError, match="does not list"):
        weights.load("scene", tmp_path)
    weights.save("scene", state, tmp_path).unlink()
    with pytest.raises(PrerequisiteError, match="is missing"):
        weights.load("scene", tmp_path)


def test_a_broken_manifest_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / weights.MANIFEST).write_text("{")
    with pytest.raises(PrerequisiteError, match="cannot be read"):
        weights.entries(tmp_path)


def test_the_manifest_is_the_same_however_often_and_in_whatever_order(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    for where, order in ((tmp_path / "a", "xy"), (tmp_path / "b", "yx")):
        for role in order:
            weights.save(role, state, where)
        weights.write_manifest(where)
    first, second = ((tmp_path / k / weights.MANIFEST).read_bytes() for k in "ab")
    assert first == second
    assert set(json.loads(first)["parts"]) == {"x", "y"}


def test_facts_of_the_parts_need_no_tensor_library() -> None:
    code = (
        "import sys; from turbo_eval.backbones.mini import PARTS, load_part;"
        "[load_part(role).info for role in PARTS]; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_shipped_weights_are_those_of_the_manifest_and_small() -> None:
    shipped = weights.entries()
    assert "detector" in shipped
    for role, entry in shipped.items():
        assert weights.checked(role).stat().st_size == entry.bytes
    assert sum(entry.bytes for entry in shipped.values()) < 8_000_000
