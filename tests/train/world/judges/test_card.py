from pathlib import Path

import pytest
import torch

from turbo_eval.backbones.mini import weights
from turbo_eval.core.errors import InputError
from turbo_train.world.fit import Progress
from turbo_train.world.judges.card import (
    add_corruptions,
    page,
    read_card,
    write_card,
    write_page,
)
from turbo_train.world.judges.common import Trained, share


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    module = torch.nn.Linear(3, 2)
    weights.save("scene", module.state_dict(), tmp_path)
    losses = [[float(k), 1 / k] for k in range(1, 201)]
    trained = Trained(module, Progress(200, 12.34, losses), {"data": "Drawn frames.", "seed": 5})
    write_card("scene", trained, {"right": share(9, 10)}, device="cpu", where=tmp_path)
    return tmp_path


def test_a_card_says_what_was_done_and_what_came_of_it(folder: Path) -> None:
    card = read_card("scene", folder)
    assert card["parameters"] == 8
    assert card["sha256"] == weights.entries(folder)["scene"].sha256
    assert card["measured"]["right"]["n"] == 10
    training = card["training"]
    assert (training["seed"], training["steps"], training["seconds"]) == (5, 200, 12.3)
    assert 20 <= len(training["loss"]) <= 60
    assert training["loss"][-1] == [200.0, 1 / 200]


def test_the_page_shows_every_card_there_is(folder: Path) -> None:
    rows = {"noise": {"values": [0.9, 0.5, None, 0.1], "n": 3, "ordered": False}}
    add_corruptions("scene", {"scene": rows}, folder)
    text = page(folder)
    assert "## scene" in text
    assert "| right | 0.9 |" in text
    assert "| scene | noise | 0.9 | 0.5 | none | 0.1 | no |" in text
    assert "## detector" not in text
    assert write_page(folder / "docs", folder).read_text(encoding="utf-8") == text


def test_a_missing_card_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_card("flow", tmp_path)
