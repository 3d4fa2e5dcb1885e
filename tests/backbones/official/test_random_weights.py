"""Random weights follow their recipe, stand in the published formats, and say what they are."""

import json
import math
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from turbo_eval.backbones.official import RANDOM, load_part, official_judges
from turbo_eval.backbones.official import random_weights as module
from turbo_eval.backbones.official.files import BY_ID, FILES, WeightsFile
from turbo_eval.backbones.official.marks import MARKER, RandomMark, random_mark
from turbo_eval.backbones.official.random_weights import (
    LAYOUTS,
    RECIPES,
    Recipe,
    make_state,
    random_state,
    seed_of,
    spread_of,
    write_random,
)
from turbo_eval.backbones.official.weights import read_state
from turbo_eval.core.errors import UsageError


def drawn(name: str, seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    bits = np.random.PCG64(zlib.crc32(name.encode()) ^ seed)
    return np.random.Generator(bits).standard_normal(shape, dtype=np.float32)


NAMES = dict.fromkeys(["a.weight", "a.bias", "b.weight"])


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("x.logit_scale", (), (math.log(100), 0.0)),
        ("temp", (), (0.01, 0.0)),
        ("a.running_mean", (4,), (0.0, 0.1)),
        ("a.weight", (4,), (1.0, 0.1)),
        ("b.weight", (4,), (0.25, 0.05)),
        ("a.bias", (4,), (0.0, 0.05)),
        ("attn.q_bias", (4,), (0.0, 0.05)),
        ("in_proj_bias", (4,), (0.0, 0.05)),
        ("class_embedding", (16,), (0.0, 0.25)),
        ("a.weight", (5, 4, 2, 2), (0.0, 0.25)),
        ("cls_token", (1, 1, 16), (0.0, 0.25)),
        ("pos", (1, 9, 4), (0.0, 0.5)),
    ],
)
def test_spread_of_each_kind(
    name: str, shape: tuple[int, ...], expected: tuple[float, float]
) -> None:
    assert spread_of(name, shape, NAMES) == pytest.approx(expected)


def test_numbers_follow_name_and_seed_alone() -> None:
    layout = {
        "n.weight": torch.empty(6, device="meta"),
        "n.bias": torch.empty(6, device="meta"),
        "n.running_var": torch.empty(6, device="meta"),
        "n.num_batches_tracked": torch.tensor(7),
        "w": torch.empty(3, 4, device="meta", dtype=torch.float16),
        "s": torch.empty((), device="meta"),
    }
    state = random_state(layout, 105)
    assert list(state) == list(layout)
    z = drawn("n.weight", 105, (6,))
    np.testing.assert_array_equal(state["n.weight"], np.float32(1) + np.float32(0.1) * z)
    z = drawn("n.running_var", 105, (6,))
    np.testing.assert_array_equal(state["n.running_var"], np.exp(np.float32(0.2) * z))
    z = drawn("w", 105, (3, 4))
    np.testing.assert_array_equal(state["w"], (np.float32(0.5) * z).astype(np.float16))
    assert state["w"].dtype is torch.float16
    assert int(state["n.num_batches_tracked"]) == 7
    backwards = random_state(dict(reversed(layout.items())), 105)
    assert all(torch.equal(backwards[name], state[name]) for name in layout)
    assert not torch.equal(random_state(layout, 106)["n.bias"], state["n.bias"])


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_ties_share_the_value_of_the_first_name(device: str) -> None:
    tied = torch.empty(4, 4, device=device)
    state = random_state({"z.weight": tied, "b.weight": tied, "c.weight": tied.clone()}, 1)
    assert state["z.weight"] is state["b.weight"]
    np.testing.assert_array_equal(state["z.weight"], np.float32(0.5) * drawn("b.weight", 1, (4, 4)))
    assert not torch.equal(state["c.weight"], state["b.weight"])


def test_exceptions_replace_the_spread_and_add_afterwards() -> None:
    def bump(array: NDArray[np.float32]) -> None:
        array[[1]] += 6

    recipe = Recipe({r"head\.weight": (5.0, 0.0)}, {r"head\.bias": (bump,)})
    layout = {
        "head.weight": torch.empty(1, 3, device="meta"),
        "head.bias": torch.empty(3, device="meta"),
        "ahead.bias": torch.empty(3, device="meta"),
    }
    state = random_state(layout, 9, recipe)
    assert state["head.weight"].tolist() == [[5.0, 5.0, 5.0]]
    difference = state["head.bias"].numpy() - np.float32(0.05) * drawn("head.bias", 9, (3,))
    np.testing.assert_allclose(difference, [0, 6, 0], atol=1e-6)
    np.testing.assert_array_equal(
        state["ahead.bias"], np.float32(0.05) * drawn("ahead.bias", 9, (3,))
    )


def test_seeds_count_the_files() -> None:
    assert [seed_of(file, 101) for file in FILES] == list(range(101, 112))
    assert set(LAYOUTS) <= set(BY_ID)
    assert set(RECIPES) <= set(BY_ID)


@pytest.mark.parametrize("file", FILES, ids=[file.id for file in FILES])
def test_every_file_is_written_in_its_format_and_read_back(
    file: WeightsFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small networks in the place of the real ones: the formats are what is tested.
    layout = {"visual.proj": torch.empty(2, 3), "a.0.weight": torch.empty(4), "n": torch.tensor(3)}
    monkeypatch.setattr(module, "LAYOUTS", {file.id: f"{__name__}:ignored"})
    monkeypatch.setattr(
        module, "import_module", lambda _: type("M", (), {"ignored": lambda: layout})
    )
    (path,) = write_random(101, tmp_path, [file]).values()
    assert path == tmp_path / file.file
    assert random_mark(path) == RandomMark(file.file, seed_of(file, 101))
    assert json.loads((tmp_path / MARKER).read_text())["seeds"] == {file.file: seed_of(file, 101)}
    found = read_state(path, wrapper=file.wrapper, prefix=file.prefix)
    expected = random_state(layout, seed_of(file, 101), RECIPES.get(file.id))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    if not file.torchscript:
        raw = torch.load(path, weights_only=True)
        raw = raw[file.wrapper] if file.wrapper else raw
        assert set(raw) == {file.prefix + name for name in layout}
    # Neither the folder, nor the time, nor a passing name is in the file.
    monkeypatch.setattr(time, "time", lambda: 2e9)
    (again,) = write_random(101, tmp_path / "again", [file]).values()
    assert again.read_bytes() == path.read_bytes()


def test_real_weights_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / BY_ID["aesthetic"].file
    torch.save({"weight": torch.ones(1, 768), "bias": torch.ones(1)}, path)
    with pytest.raises(UsageError, match="not overwritten"):
        write_random(101, tmp_path, [BY_ID["aesthetic"]])
    assert read_state(path)["bias"].tolist() == [1.0]


def test_random_weights_show_in_the_facts_of_the_judges(tmp_path: Path) -> None:
    assert official_judges(weights_dir=tmp_path).name == "official"
    assert load_part("aesthetic", weights_dir=tmp_path).info.weights == ""
    write_random(101, tmp_path, [BY_ID["aesthetic"]])
    part = load_part("aesthetic", weights_dir=tmp_path)
    assert part.info.description.startswith("RANDOM WEIGHTS")
    assert part.info.licence == "none: random weights"
    # One of its two files is still missing, so it has no weights to be known by.
    assert part.info.weights == ""
    judges = official_judges(weights_dir=tmp_path)
    assert judges.name == RANDOM
    assert judges.key.startswith(f"{RANDOM}@")
    assert "aesthetic" in judges.description
    assert judges.normalisation is None


def test_the_head_has_the_values_that_its_recipe_says() -> None:
    state = make_state(BY_ID["aesthetic"], 101)
    weight = np.float32(20 / math.sqrt(768)) * drawn("weight", 103, (1, 768))
    np.testing.assert_array_equal(state["weight"], weight)
    np.testing.assert_array_equal(
        state["bias"], np.float32(5) + np.float32(0.05) * drawn("bias", 103, (1,))
    )
