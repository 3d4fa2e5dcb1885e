import re
import xml.etree.ElementTree as ET

import matplotlib as mpl

from tests.report import made_up
from turbo_eval.report.data import read
from turbo_eval.report.plots import figures, normalised


def test_figures_are_the_same_bytes_whatever_the_users_style() -> None:
    data = read(made_up.summary())
    first = figures(data)
    before = mpl.rcParams["font.size"]
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": None, "lines.linewidth": 9}):
        second = figures(data)
    assert first == second
    assert set(first) == {"bars.svg", "radar.svg"}
    assert mpl.rcParams["font.size"] == before


def test_figures_are_valid_carry_no_date_and_load_nothing() -> None:
    for text in figures(read(made_up.summary())).values():
        ET.fromstring(text)
        assert "<dc:date>" not in text
        assert "prefers-color-scheme: dark" in text
        links = re.findall(r'(?:href|src)="([^"]*)"', text)
        assert all(link.startswith("#") for link in links)
        assert made_up.STUDENT in text


def test_model_names_are_escaped_and_never_typeset() -> None:
    whole = made_up.summary()
    whole["models"] = {"_<b>$x^2$</b>": whole["models"][made_up.TEACHER]}
    for text in figures(read(whole)).values():
        ET.fromstring(text)
        assert "&lt;b&gt;$x^2$" in text


def test_an_absent_value_is_a_gap_and_not_a_zero() -> None:
    whole = figures(read(made_up.summary()))
    gap = figures(read(made_up.without("color")))
    assert "Color" in whole["bars.svg"]
    assert "Color" not in gap["bars.svg"]
    assert "Total" not in gap["bars.svg"]
    assert "nan" not in gap["radar.svg"].lower().replace("dominant", "")


def test_without_any_value_there_is_no_figure() -> None:
    assert figures(read({"models": {"m": {}}})) == {}


def test_normalised_only_with_ends_for_every_shown_dimension() -> None:
    assert normalised(read(made_up.summary()))
    assert not normalised(read(made_up.summary(normalisation={"color": [0, 1]})))
