import csv
import io
import re

from tests.report import made_up
from turbo_eval.prompts.dimensions import DIMENSIONS
from turbo_eval.report import tables
from turbo_eval.report.data import read
from turbo_eval.report.notices import partial_reasons


def small() -> dict[str, object]:
    """Three models, two dimensions: marks, an absent value, an uneven count, an awkward name."""
    odd = "a_b & 50%|*x*"
    return {
        "models": {
            "one": {
                "vbench.color": made_up.value(0.5),
                "vbench.scene": made_up.value(0.25, n=5, of=6),
            },
            odd: {"vbench.color": made_up.value(0.75), "vbench.scene": made_up.nothing(6)},
            "three": {"vbench.color": made_up.value(0.6), "vbench.scene": made_up.value(0.0)},
        },
        "totals": {"one": {"quality": None, "semantic": None, "total": None}},
        "judges": "mini",
        "partial": ["a subset: 6 of 170 prompts"],
    }


def line(text: str, start: str) -> str:
    return next(row for row in text.splitlines() if row.startswith(start))


def test_markdown_golden() -> None:
    text = tables.markdown(read(small()))
    assert [c.strip() for c in re.split(r"(?<!\\)\|", line(text, "| Color"))[1:-1]] == [
        "Color",
        "50.00 [49.00, 51.00]",
        "**75.00** [74.00, 76.00]",
        "<u>60.00</u> [59.00, 61.00]",
        "24/24",
    ]
    assert [c.strip() for c in re.split(r"(?<!\\)\|", line(text, "| Scene"))[1:-1]] == [
        "Scene",
        "**25.00** [24.00, 26.00]",
        "-",
        "0.00 [-1.00, 1.00]",
        "5/6, 0/6, 24/24",
    ]
    assert "a\\_b \\& 50%\\|\\*x\\*" in text
    assert "Judges: mini." in text
    assert "Partial: A subset: 6 of 170 prompts." in text
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert len({len(row) for row in rows}) == 1, "columns are aligned"
    assert len(rows) == 2 + 16 + 3


def test_latex_golden() -> None:
    text = tables.latex(read(small()))
    assert line(text, "Color") == (
        "Color & 50.00 {\\scriptsize [49.00, 51.00]} & \\textbf{75.00} {\\scriptsize "
        "[74.00, 76.00]} & \\underline{60.00} {\\scriptsize [59.00, 61.00]} & 24/24 \\\\"
    )
    assert line(text, "Scene") == (
        "Scene & \\textbf{25.00} {\\scriptsize [24.00, 26.00]} & -- & 0.00 {\\scriptsize "
        "[$-$1.00, 1.00]} & 5/6, 0/6, 24/24 \\\\"
    )
    assert line(text, "Dimension") == (
        "Dimension & one & a\\_b \\& 50\\%\\textbar{}*x* & three & $n/N$ \\\\"
    )
    assert text.count("{") == text.count("}")
    assert text.endswith("\\bottomrule\n\\end{tabular}\n")


def test_csv_golden() -> None:
    text = tables.table_csv(read(small()))
    rows = {(r["metric"], r["model"]): r for r in csv.DictReader(io.StringIO(text))}
    assert len(rows) == 19 * 3
    assert rows["vbench.color", "one"] == {
        "group": "semantic",
        "metric": "vbench.color",
        "model": "one",
        "value": "0.5",
        "low": "0.49",
        "high": "0.51",
        "n": "24",
        "of": "24",
        "mark": "",
        "partial": "",
    }
    absent = rows["vbench.scene", "a_b & 50%|*x*"]
    assert (absent["value"], absent["low"], absent["n"]) == ("", "", "0")
    assert rows["total", "one"]["value"] == ""
    assert rows["total", "one"]["partial"] == "partial"
    assert float(rows["vbench.scene", "three"]["value"]) == 0.0, "a real zero stays a zero"


def test_random_weights_are_told_in_every_table() -> None:
    data = read(made_up.summary(judges="official-random"))
    for text in (tables.markdown(data), tables.latex(data)):
        head = next(row for row in text.splitlines() if "Dimension" in row)
        assert "Dimension - RANDOM WEIGHTS: these numbers mean nothing" in head
    header, *lines = tables.table_csv(data).splitlines()
    assert lines
    assert all("RANDOM WEIGHTS" in line for line in lines)
    assert "RANDOM" not in tables.markdown(read(made_up.summary(judges="official")))


def test_a_name_is_no_spreadsheet_formula() -> None:
    made = small()
    made["models"] = {"=cmd()": {"vbench.color": made_up.value(0.5)}}
    assert ",'=cmd()," in tables.table_csv(read(made))


def test_rows_follow_the_official_order_with_groups() -> None:
    rows = tables.rows(read(made_up.summary()))
    names = [row.metric for row in rows]
    assert names == [*DIMENSIONS[:7], "quality", *DIMENSIONS[7:], "semantic", "total"]
    assert not any(row.partial for row in rows)


def test_an_absent_dimension_drops_every_total_that_needs_it() -> None:
    data = read(made_up.without("color"))
    rows = {row.metric: row for row in tables.rows(data)}
    for model in data.models:
        assert rows["quality"].cells[model].value is not None
        assert rows["semantic"].cells[model].value is None
        assert rows["total"].cells[model].value is None
    assert rows["total"].partial
    assert not rows["quality"].partial
    text = tables.markdown(data)
    assert "73.60" not in text
    assert line(text, "| **Total (partial)**").count("| ") >= 3
    assert re.sub(r"\s+", "", line(text, "| **Total")) == "|**Total(partial)**|-|-||"


def test_a_total_over_a_subset_says_partial() -> None:
    data = read(made_up.summary(partial=["a subset: 24 of 170 prompts of suite mini"]))
    text = tables.markdown(data)
    assert "73.60" in line(text, "| **Total (partial)**")
    assert "| **Total**" not in text


def test_missing_videos_make_a_total_partial_without_being_told() -> None:
    made = made_up.summary()
    made["models"][made_up.TEACHER]["vbench.color"] = made_up.value(0.5, n=23)
    data = read(made)
    rows = {row.metric: row for row in tables.rows(data)}
    assert (rows["quality"].partial, rows["semantic"].partial) == (False, True)
    assert any("23/24" in reason for reason in partial_reasons(data))


def test_equal_shown_values_share_a_mark_and_two_models_have_no_second() -> None:
    made = made_up.summary()
    rows = {row.metric: row for row in tables.rows(read(made))}
    assert list(rows["color"].marks.values()) == ["", "best"]
    for table in made["models"].values():
        table["vbench.color"] = made_up.value(0.700001)
    made["models"][made_up.THIRD] = {"vbench.color": made_up.value(0.5)}
    rows = {row.metric: row for row in tables.rows(read(made))}
    assert list(rows["color"].marks.values()) == ["best", "best", "second"]


def test_other_metrics_stand_on_their_own_scale() -> None:
    made = made_up.summary()
    made["models"][made_up.TEACHER]["reward.sharpness"] = made_up.value(12.5)
    rows = tables.rows(read(made))
    assert (rows[-1].kind, rows[-1].metric, rows[-1].scale) == ("other", "reward.sharpness", 1.0)
    assert "12.5000" in tables.markdown(read(made))


def test_difference_rows_hold_the_other_models_only() -> None:
    rows = tables.difference_rows(read(made_up.summary()))
    assert [row.metric for row in rows][-1] == "total"
    assert len(rows) == 19
    assert all(list(row.cells) == [made_up.STUDENT] for row in rows)
    assert tables.difference_rows(read(made_up.summary(differences={}))) == []
