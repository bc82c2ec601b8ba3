"""Loss curves: any logs and any names become one sound figure."""

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.sheet.curves import HEIGHT, KINDS, LINE, MOST_POINTS, WIDTH, Kind, Quantity, draw_curves, smooth

SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = st.none() | st.floats() | st.integers() | st.sampled_from([10**400, True, "1", [], 0.0, 1e-310])
ROWS = st.lists(st.fixed_dictionaries({"step": st.integers(0, 10**9)}, optional=dict.fromkeys(KINDS, NUMBERS)))
Runs = list[tuple[str, list[dict[str, Any]]]]


def parsed(runs: Runs) -> ElementTree.Element:
    return ElementTree.fromstring(str(draw_curves(runs)))


def lines_of(figure: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """The places of each run's curves; the lines of the key have no colour."""
    lines = [line for line in figure.iter(f"{SVG}polyline") if line.get("stroke") != "currentColor"]
    return [
        [(float(x), float(y)) for x, y in (place.split(",") for place in str(line.get("points")).split())]
        for line in lines
    ]


def rows_of(losses: list[float], **columns: list[float]) -> list[dict[str, Any]]:
    rows = [{"step": step, "loss": loss} for step, loss in enumerate(losses, start=1)]
    return [row | {name: values[number] for name, values in columns.items()} for number, row in enumerate(rows)]


@given(st.lists(st.tuples(st.text(max_size=80), ROWS), max_size=3))
def test_any_logs_give_a_figure_whose_places_all_lie_in_it(runs: Runs) -> None:
    figure = parsed(runs)
    assert figure.get("viewBox") == f"0 0 {WIDTH} {HEIGHT + LINE * len(runs)}"
    for x, y in (place for line in lines_of(figure) for place in line):
        assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
    assert draw_curves(runs) == draw_curves(runs)
    assert not any("id" in element.attrib or "style" in element.attrib for element in figure.iter())


@pytest.mark.parametrize("name", ["</svg><script>alert(1)</script>", '"><img src=x>', "a & b", "x" * 500, "\x00\x1b\n"])
def test_a_name_is_text_and_told_in_full(name: str) -> None:
    figure = parsed([(name, rows_of([1.0, 0.5]))])
    assert {element.tag.removeprefix(SVG) for element in figure.iter()} <= {
        "svg",
        "line",
        "text",
        "title",
        "polyline",
        "rect",
    }
    [told] = [title.text for title in figure.iter(f"{SVG}title")]
    assert told == re.sub(r"[\x00-\x1f]", "\N{REPLACEMENT CHARACTER}", name)


def test_each_run_has_its_curves_in_its_own_colour() -> None:
    validated = rows_of([1.0, 0.5], validation_loss=[1.0, 0.6], validation_loss_ema=[0.9, 0.55])
    figure = parsed([("plain", rows_of([1.0, 0.5])), ("validated", validated)])
    strokes = [line.get("stroke") for line in figure.iter(f"{SVG}polyline")]
    own = [stroke for stroke in strokes if stroke != "currentColor"]
    assert strokes.count("currentColor") == len(KINDS) and len(set(own)) == 2
    assert [own.count(stroke) for stroke in dict.fromkeys(own)] == [1, 3]


def test_a_lower_loss_lies_lower_and_a_later_step_further_right() -> None:
    [line] = lines_of(parsed([("run", rows_of([0.9, 0.5, 0.1]))]))
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(line))


def test_losses_over_orders_of_magnitude_take_a_logarithmic_axis() -> None:
    [line] = lines_of(parsed([("run", rows_of([1000.0, 100.0, 10.0, 1.0]))]))
    assert np.diff([y for _, y in line]) == pytest.approx([(HEIGHT - 70) / 3] * 3, abs=0.2)


def test_scores_take_a_linear_axis_whatever_their_size_and_the_legend_counts_the_steps_without_one() -> None:
    values = [0.001, 0.25, 0.5, None, 0.75]
    rows = [{"step": step, "mean": value} for step, value in enumerate(values, start=1)]
    quantity = Quantity("score", "scores", {"mean": Kind("mean", 1.8)}, "without one", orders=False)
    figure = ElementTree.fromstring(str(draw_curves([("guidance 3", rows)], quantity)))
    [line] = lines_of(figure)
    assert np.diff([y for _, y in line[1:]]) == pytest.approx([(70 - HEIGHT) / 0.8 * 0.25] * 2, abs=0.2)
    texts = ["".join(text.itertext()) for text in figure.iter(f"{SVG}text")]
    assert "score" in texts and any(text.endswith("guidance 3 (1 without one)") for text in texts)


def test_losses_that_were_not_finite_are_counted_and_without_any_loss_the_figure_says_so() -> None:
    words = [text.text for text in parsed([("run", rows_of([1.0, float("nan"), 0.5]))]).iter(f"{SVG}text")]
    assert "no finite loss yet" not in words
    texts = ["".join(text.itertext()) for text in parsed([("run", [{"step": 1, "loss": None}])]).iter(f"{SVG}text")]
    assert "no finite loss yet" in texts and any("(1 not finite)" in text for text in texts)


def test_a_long_training_is_smoothed_and_thinned_to_its_ends() -> None:
    losses = np.random.default_rng(0).uniform(0, 1, 20_000).tolist()
    [line] = lines_of(parsed([("run", rows_of(losses))]))
    assert len(line) == MOST_POINTS
    smoothed = smooth(tuple(enumerate(losses)))
    assert smoothed[0] == (399, pytest.approx(np.mean(losses[:400]))) and smoothed[-1][0] == 19_999
    assert np.std([value for _, value in smoothed]) < np.std(losses) / 10
