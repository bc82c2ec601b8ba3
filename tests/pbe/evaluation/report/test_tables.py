"""The main table: what is marked as best, what is said of rows and metrics without numbers."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbe.evaluation.report.numbers import NOTHING, signed_text, value_text
from pbe.evaluation.report.tables import Table, tabulate
from pbe.evaluation.report.text_tables import write_latex, write_markdown
from pbe.evaluation.summary import BenchFacts, Mean, Metric, Row, SetDistance, Summary

SCORE, SEAM = Metric("clip_score_official", "CLIP score", "higher"), Metric("seam", "seam", "lower")
COPYING, PSNR = Metric("copy_paste", "copy-paste", "neither"), Metric("outside_psnr", "PSNR", "higher")
BENCH = BenchFacts("a bench", "cases", 9, "0" * 16)
ROW = Row("a", "m", cases=9)
NAMES = st.text(max_size=30) | st.text("|`*_[]<>&\\{}$%#~^\n- @!\"'", max_size=12)


def row(name: str, *notes: str, **values: float) -> Row:
    return Row(
        name, "m", notes=notes, cases=9, means={key: Mean(value, None, None, 9) for key, value in values.items()}
    )


def summary(metrics: list[Metric], rows: list[Row]) -> Summary:
    return Summary(BENCH, tuple(metrics), tuple(rows))


def best_of(table: Table, heading: str) -> list[str]:
    place = table.headings.index(heading)
    return [line.name for line in table.lines if line.cells and line.cells[place].best]


def test_the_best_is_marked_by_the_metrics_direction_with_all_that_read_like_it() -> None:
    rows = [row("a", clip_score_official=80.001, seam=2.0, copy_paste=0.5)]
    rows += [row("b", clip_score_official=79.999, seam=1.0, copy_paste=0.9), row("c", clip_score_official=70, seam=3)]
    table = tabulate(summary([SCORE, SEAM, COPYING], rows))
    assert best_of(table, "CLIP score ↑") == ["a", "b"]
    assert best_of(table, "seam ↓") == ["b"]
    assert best_of(table, "copy-paste") == []


def test_controls_are_never_the_best_and_a_single_rival_is_none() -> None:
    rows = [row("truth", "control: the ground truth", seam=0.0), row("a", seam=2.0)]
    assert best_of(tabulate(summary([SEAM], rows)), "seam ↓") == []
    assert best_of(tabulate(summary([SEAM], [*rows, row("b", seam=3.0)])), "seam ↓") == ["a"]


def test_where_all_rivals_read_alike_none_is_the_best() -> None:
    alike = [row("a", seam=2.0), row("b", seam=2.0), row("truth", "control: the ground truth", seam=0.0)]
    assert best_of(tabulate(summary([SEAM], alike)), "seam ↓") == []
    assert best_of(tabulate(summary([SEAM], [*alike, row("c", seam=3.0)])), "seam ↓") == ["a", "b"]


def test_an_exact_outside_beats_every_number() -> None:
    rows = [row("a", outside_exact=1.0), row("b", outside_psnr=99.0, outside_exact=0.5)]
    table = tabulate(summary([PSNR], rows))
    assert best_of(table, "PSNR ↑") == ["a"]
    assert [line.cells[1].text for line in table.lines] == ["exact", "99.00"]


def test_what_has_no_number_is_named_with_its_reason() -> None:
    quality = Metric("quality", "QS", "higher", "no mixture")
    absent = Row("sd", "sd", unavailable="no weights")
    table = tabulate(summary([quality, SCORE, SEAM], [row("a", seam=1.0), absent]))
    assert table.headings == ("cases", "seam ↓")
    assert table.unmeasured == (("QS", "no mixture"), ("CLIP score", "no row has a value"))
    assert [(line.name, line.unavailable, len(line.cells)) for line in table.lines] == [
        ("a", "", 2),
        ("sd", "no weights", 0),
    ]
    for text in (write_markdown(summary([quality, SCORE, SEAM], [absent])), write_latex(summary([SCORE], [absent]))):
        assert b"unavailable: no weights" in text


def test_a_cell_tells_its_interval_and_how_many_cases_it_is_of() -> None:
    some = replace(ROW, failed=2, means={"seam": Mean(1.23456, 1.0, 1.5, 6)})
    table = tabulate(summary([SEAM], [some]))
    assert table.lines[0].cells[0].text == "9, 2 failed"
    cell = table.lines[0].cells[1]
    assert (cell.text, cell.interval, cell.note) == ("1.235", "[1.000, 1.500]", "n 6")


def test_a_distance_brings_its_number_of_pictures_its_bias_and_its_limit() -> None:
    metric = Metric("frechet", "Fréchet distance (DINO)", "lower")
    far = replace(ROW, frechet=SetDistance(9.0, 8, 40.0, None), copy_normalised=0.5)
    near = replace(ROW, name="b", frechet=SetDistance(3.0, 9, None, None))
    table = tabulate(summary([metric], [far, near]))
    assert table.headings == ("cases", "Fréchet distance (DINO) ↓", "N", "bias at N")
    assert [cell.text for cell in table.lines[0].cells] == ["9", "9.00", "8", "40.00"]
    assert [cell.text for cell in table.lines[1].cells] == ["9", "3.00", "9", NOTHING]
    assert best_of(table, "Fréchet distance (DINO) ↓") == ["b"]


@given(NAMES, NAMES, NAMES)
def test_any_text_stays_in_its_cell(name: str, note: str, reason: str) -> None:
    rows = [row(name, note, seam=1.0), Row("x", "x", unavailable=reason)]
    made = summary([SEAM], rows)
    markdown = [line for line in write_markdown(made).decode().split("\n") if line.startswith("|")]
    columns = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in markdown[:4]}
    assert columns == {len(("row", "cases", "seam")) + 1}
    assert not any(re.search(r"(?<!\\)<", line) for line in markdown)
    latex = write_latex(made).decode().split("\n")
    body = latex[latex.index(r"\midrule") + 1 : latex.index(r"\bottomrule")]
    assert len(body) == 2
    for line in [*body, *(line for line in latex if line.startswith("%"))]:
        assert line.startswith(("{", "% ")) and "\r" not in line
    for line in body:
        bare = re.sub(r"\\[{}&%$#_]", "", line)
        assert bare.count("{") == bare.count("}") and bare.count("&") in (1, 2)
        assert not re.search(r"[%#_~^]", bare.replace("&", ""))


def test_equal_summaries_give_equal_bytes() -> None:
    one, other = (summary([SEAM], [row("a", seam=1.0), row("b", seam=2.0)]) for _ in range(2))
    assert write_markdown(one) == write_markdown(other) and write_latex(one) == write_latex(other)
    assert rb"\textbf{1.000}" in write_latex(one) and b"**1.000**" in write_markdown(one)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("frechet", 3.184, "3.18"),
        ("seam", -0.0001, "0.000"),
        ("copied", 0.12345, "12.3%"),
        ("similarity:x", 0.5, "0.500"),
        ("other", 1234.5678, "1235"),
        ("seam", None, NOTHING),
    ],
)
def test_numbers_are_rounded_by_metric(key: str, value: float | None, text: str) -> None:
    assert value_text(key, value) == text
    if value is not None:
        assert signed_text(key, value) == (text if float(text.strip("%")) == 0 else f"+{text}")
