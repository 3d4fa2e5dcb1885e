import json
from pathlib import Path

import numpy as np
import pytest

from turbo_eval.backbones import load_judges
from turbo_eval.backbones.mini import weights
from turbo_eval.backbones.pixels import Pixels
from turbo_eval.core.errors import InputError, UsageError
from turbo_eval.metrics.normalise import DIMENSIONS, WEIGHTS, NormalisationTable
from turbo_eval.metrics.read import fact
from turbo_eval.metrics.registry import metric
from turbo_train.world.judges.corrupt import NAMES
from turbo_train.world.judges.examples import example
from turbo_train.world.judges.normalisation import (
    ABOUT,
    Row,
    in_order,
    measure_dimension,
    table,
)


def rows(*values: float | None) -> dict[str, Row]:
    return {"noise": {"values": list(values), "n": 4, "ordered": in_order(values)}}


def test_every_dimension_is_about_known_corruptions() -> None:
    assert set(ABOUT) == set(DIMENSIONS)
    assert all(set(names) <= set(NAMES) and names for names in ABOUT.values())


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_examples_repeat_and_carry_the_facts_that_the_dimension_needs(dimension: str) -> None:
    scene, prompt = example(dimension, 4)
    assert (scene, prompt) == example(dimension, 4)
    for need in metric(dimension).info.needs:
        assert need in prompt.auxiliary
    assert prompt.text
    assert example(dimension, 5)[1].text != prompt.text


def test_neighbouring_examples_ask_for_different_things() -> None:
    for dimension, key in (("object_class", "object"), ("scene", "scene"), ("color", "color")):
        asked = [fact(example(dimension, k)[1], dimension, key) for k in range(30)]
        assert all(a != b for a, b in zip(asked[:-1], asked[1:], strict=True))
    with pytest.raises(UsageError, match="scene"):
        example("scenery", 0)


def test_order_is_strict_and_absent_is_no_order() -> None:
    assert in_order([3, 2, 1, 0])
    assert not in_order([3, 2, 2, 0])
    assert not in_order([3, 2, None, 0])


def test_the_table_spans_worst_to_clean() -> None:
    made = table({d: rows(0.9, 0.7, 0.5, 0.2) for d in DIMENSIONS})
    assert all(made.bounds[d] == (0.2, 0.9) for d in DIMENSIONS)
    assert dict(made.weights) == dict(WEIGHTS)
    with pytest.raises(InputError, match="missing"):
        table({"color": rows(1, 0.5, 0.2, 0.1)})


def test_flicker_lowers_temporal_flickering_without_any_network() -> None:
    class NoFlow(Pixels):
        """Stands in for the flow part, whose arrays this dimension may do without."""

        def extract(self, clip: object, prompt: object) -> dict[str, np.ndarray]:
            return {}

    found = measure_dimension("temporal_flickering", {"pixels": Pixels(), "flow": NoFlow()}, 3)
    assert found["flicker"]["ordered"]
    assert found["noise"]["ordered"]
    assert found["flicker"]["n"] == 3


def test_the_shipped_table_is_the_mini_judges_own_and_says_how_it_was_measured() -> None:
    path = weights.normalisation_path()
    document = json.loads(path.read_text(encoding="utf-8"))
    shipped = NormalisationTable.from_json(path)
    assert shipped.name == "mini"
    assert document["measured"]
    assert load_judges("mini").normalisation == path
    for dimension, row in document["dimensions"].items():
        found = [r["values"] for r in row["corruptions"].values()]
        low, high = shipped.bounds[dimension]
        assert high == found[0][0]
        assert low == min(values[-1] for values in found if values[-1] is not None)


def test_shipped_judges_put_the_corruption_levels_in_order() -> None:
    document = json.loads(weights.normalisation_path().read_text(encoding="utf-8"))
    wrong = [
        (dimension, name)
        for dimension, row in document["dimensions"].items()
        for name, found in row["corruptions"].items()
        if not found["ordered"]
    ]
    assert wrong == []


def test_shipping_writes_table_and_cards(tmp_path: Path) -> None:
    from turbo_train.world.judges.normalisation import ship

    path = ship({d: rows(0.9, 0.7, 0.5, 0.2) for d in DIMENSIONS}, tmp_path, clips=4)
    assert path == tmp_path / "normalisation.json"
    assert NormalisationTable.from_json(path).bounds["color"] == (0.2, 0.9)
