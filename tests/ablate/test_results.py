"""Corrections, sentences, tables and the figure, on made-up numbers."""

import csv
import io
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ablate.made_up import ablation, cell, gap, row
from turbo_eval.ablate import tables
from turbo_eval.ablate.conclusion import sentences
from turbo_eval.ablate.figure import figure
from turbo_eval.ablate.results import holm, main_measures, p_value
from turbo_eval.ablate.write import write


def test_holm_steps_down() -> None:
    # Sorted p times 4, 3, 2, 1, made monotone; worked by hand.
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@given(st.dictionaries(st.integers(), st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_helps(p_values: dict[int, float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= adjusted[key] <= 1 for key, p in p_values.items())
    # The smallest is Bonferroni's.
    assert min(adjusted.values()) == min(1.0, min(p_values.values()) * len(p_values))


def test_p_value_is_the_normal_distributions() -> None:
    assert p_value(1.959963984540054, 0.0, 4.0) == pytest.approx(0.05)
    assert p_value(-2.5758293035489004, -9.0, -2.5758293035489004 + 1.959963984540054) == (
        pytest.approx(0.01)
    )
    assert p_value(0.0, -1.0, 1.0) == 1.0


@given(st.floats(-1, 1), st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_p_value_agrees_with_the_interval(value: float, below: float, above: float) -> None:
    low, high = value - below, value + above
    p = p_value(value, low, high)
    assert 0 <= p <= 1
    if low > 1e-9 or high < -1e-9:
        assert p < 0.05
    if low < -1e-9 and high > 1e-9:
        assert p > 0.05


def test_the_main_table_has_totals_chosen_dimensions_and_rewards() -> None:
    found = ablation()
    assert main_measures(found) == ["total", "quality", "scene", "reward.mini-image"]
    for each in found["rows"]:
        del each["measures"]["total"], each["measures"]["quality"]
    found["show"] = []
    # Without a total the dimensions themselves are the result.
    assert main_measures(found) == ["color", "scene", "reward.mini-image"]


def test_sentences_follow_the_intervals() -> None:
    teacher, better, order = sentences(ablation())
    assert teacher == (
        "Teacher against A: total +1.00 points (95% interval -1.00 to +3.00): no difference "
        "beyond the interval. No difference beyond the interval in any of 2 dimensions."
    )
    assert better == (
        "B_x against A: total +5.00 points (95% interval +3.00 to +7.00): higher, also after "
        "Holm's correction for 2 comparisons. Higher in color (+10.00); lower in scene (-20.00); "
        "the other 0 of 2 dimensions do not differ beyond it. "
        "Rewards: mini-image not different (+0.0100)."
    )
    assert order.endswith("B_x 75.00, Teacher 71.00, A 70.00.")


def test_a_difference_that_falls_to_holm_says_so() -> None:
    found = ablation()
    found["rows"][2]["differences"]["A"]["total"] = gap(0.05, 0.04, 0.08)
    assert "higher, but not after Holm's correction" in sentences(found)[1]


def test_without_totals_nothing_is_claimed_about_them() -> None:
    found = ablation()
    found["rows"] = [row("A", None), row("B_x", None)]
    found["rows"][1]["differences"] = {"A": {"color": gap(0.1, 0.2)}}
    told = sentences(found)
    assert told[0].startswith("B_x against A: no total. No difference beyond the interval")
    assert told[1].startswith("No order of totals")


def test_dimensions_of_few_pairs_are_not_judged() -> None:
    found = ablation()
    found["rows"][2]["differences"]["A"]["scene"]["pairs"] = 3
    assert "Higher in color (+10.00); the other 0 of 1 dimensions" in sentences(found)[1]


def test_markdown_marks_what_differs_and_what_survives() -> None:
    text = tables.markdown(ablation())
    lines = text.splitlines()
    widths = {len(line) for line in lines[:5]}
    assert len(widths) == 1
    assert "B\\_x" in text
    assert "**+5.00 [+3.00, +7.00]**\\*" in text
    assert "| +1.00 [-1.00, +3.00] |" in text.replace("  ", "")
    assert "0.1234 [0.1034, 0.1434]" in text
    assert "Note: a subset: 8 of 186 prompts of suite mini." in text


def test_csv_keeps_every_digit_and_leaves_absent_cells_empty() -> None:
    found = ablation()
    found["rows"][1]["measures"]["color"] = cell(None)
    found["rows"][1]["name"] = "=A"
    read = list(csv.DictReader(io.StringIO(tables.table_csv(found))))
    assert len(read) == 3 * 5
    mine = [line for line in read if line["row"] == "'=A"]
    assert {line["measure"]: line["value"] for line in mine}["color"] == ""
    better = next(line for line in read if line["row"] == "B_x" and line["measure"] == "total")
    assert float(better["difference"]) == 0.05
    assert float(better["p_holm"]) == 0.001


def test_latex_escapes_names_and_balances_braces() -> None:
    text = tables.latex(ablation())
    assert "B\\_x" in text
    assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")
    body = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert {line.count(" & ") for line in body} == {6}


def texts(svg: str) -> set[str]:
    return {"".join(node.itertext()).strip() for node in ET.fromstring(svg).iter() if
            node.tag.endswith("text")}  # fmt: skip


def test_rows_of_one_number_of_calls_stand_side_by_side() -> None:
    svg = figure(ablation())
    assert {"Teacher", "A", "B_x", "Total x 100", "Quality x 100", "Scene x 100"} <= texts(svg)
    assert svg == figure(ablation())


def test_several_numbers_of_steps_are_drawn_against_network_calls() -> None:
    found = ablation()
    found["rows"] += [row("B_x @8", 0.8, 8)]
    assert {"Network calls for one video", "Total x 100", "4", "8", "100"} <= texts(figure(found))


def test_nothing_to_draw_is_said() -> None:
    found = ablation()
    for each in found["rows"]:
        each["measures"] = {"color": cell(None)}
    assert "no value" in texts(figure(found))


def test_the_folder_is_complete_and_the_same_again(tmp_path: Path) -> None:
    found: dict[str, Any] = ablation()
    words = ["turbo-eval", "ablate", "a b.toml"]
    table = write(found, "| all |", tmp_path, words)
    assert table == tmp_path / "ablation" / "table.md"
    first = {path.name: path.read_bytes() for path in table.parent.iterdir()}
    assert sorted(first) == [
        "ablation.json", "figure.svg", "index.md", "table.csv", "table.md", "table.tex"
    ]  # fmt: skip
    write(found, "| all |", tmp_path, words)
    assert first == {path.name: path.read_bytes() for path in table.parent.iterdir()}
    page = first["index.md"].decode()
    assert "- B\\_x is better." in page
    assert "    turbo-eval ablate 'a b.toml'" in page
    assert "| all |" in page
