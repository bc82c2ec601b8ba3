"""Charts: sound SVG of any names and numbers, all of it inside, a line for each sweep."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.report.charts import Chart, draw_bars, draw_copying, draw_guidance, sweeps
from pbe.evaluation.summary import BenchFacts, Mean, Metric, Row, SetDistance, Summary

SVG = "{http://www.w3.org/2000/svg}"
SIMILAR = "similarity:DINO"
METRICS = (
    Metric("frechet", "Fréchet distance", "lower"),
    Metric(SIMILAR, "similarity", "higher"),
    Metric("copy_paste", "copy-paste", "neither"),
)
NUMBERS = st.floats(-1e6, 1e6)


def row(name: str, values: list[float], guidance: float | None = None) -> Row:
    distance, similar, copying = values
    means = {SIMILAR: Mean(similar, similar - 1, similar + 1, 5), "copy_paste": Mean(copying, None, None, 5)}
    return Row(name, "m", guidance=guidance, means=means, frechet=SetDistance(distance, 5, None, None))


def summary(rows: list[Row]) -> Summary:
    return Summary(BenchFacts("b", "cases", 5, "0" * 16), METRICS, tuple(rows))


def all_charts(rows: list[Row]) -> list[Chart]:
    return [*draw_bars(summary(rows)), *draw_guidance(summary(rows)), *draw_copying(summary(rows))]


def numbers_of(shape: ElementTree.Element, *names: str) -> list[float]:
    points = [float(number) for number in re.findall(r"-?[\d.]+", shape.get("points", ""))]
    return points + [float(shape.attrib[name]) for name in names if name in shape.attrib]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text(max_size=60), st.lists(NUMBERS, min_size=3, max_size=3)), min_size=1, max_size=5))
def test_any_names_and_numbers_give_sound_figures_with_all_inside(given: list[tuple[str, list[float]]]) -> None:
    rows = [row(name, values, guidance=float(place)) for place, (name, values) in enumerate(given)]
    charts = all_charts(rows)
    assert len(charts) == (7 if len(rows) > 1 else 4)
    for chart in charts:
        figure = ElementTree.fromstring(str(chart.svg))
        _, _, width, height = map(float, figure.attrib["viewBox"].split())
        for shape in figure.iter():
            across = numbers_of(shape, "x", "x1", "x2", "cx")
            down = numbers_of(shape, "y", "y1", "y2", "cy")
            assert all(-4 <= place <= max(width, height) + 4 for place in (*across, *down))


def test_bars_are_as_long_as_their_values_from_zero_and_an_exact_one_has_a_word() -> None:
    psnr = Metric("outside_psnr", "PSNR", "higher")
    numbers = [{"outside_psnr": Mean(value, None, None, 5)} for value in (20.0, 40.0)]
    rows = [Row("a", "m", means=numbers[0]), Row("b", "m", means=numbers[1])]
    rows.append(Row("c", "m", means={"outside_exact": Mean(1.0, None, None, 5)}))
    [chart] = draw_bars(Summary(BenchFacts("b", "cases", 5, "0" * 16), (psnr,), tuple(rows)))
    figure = ElementTree.fromstring(str(chart.svg))
    short, long = (float(shape.attrib["width"]) for shape in figure.iter(f"{SVG}rect"))
    assert long == pytest.approx(2 * short, abs=0.2)
    assert "exact" in [text.text for text in figure.iter(f"{SVG}text")]


def test_only_methods_with_several_scales_are_swept_and_their_scales_ascend() -> None:
    values: dict[str, Any] = {"values": [1.0, 1.0, 1.0]}
    rows = [row("g5", guidance=5, **values), row("g1", guidance=1, **values), row("none", **values)]
    rows.append(Row("alone", "other", guidance=5.0))
    assert [[each.name for each in found] for found in sweeps(rows)] == [["g1", "g5"]]
    assert [chart.title for chart in draw_guidance(summary(rows))] == [
        "Fréchet distance ↓ by guidance",
        "similarity ↑ by guidance",
        "copy-paste by guidance",
    ]
    assert draw_guidance(summary(rows[:1])) == []
