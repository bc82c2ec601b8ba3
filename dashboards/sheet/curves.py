"""Curves: numbers by step -> one figure of their curves, as SVG that stands in a page: losses, or scores of grids."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.pages.svg import FONT, Axis, bar, colour_of, dot, figure, line, nice_ticks, polyline, text

WIDTH, HEIGHT = 560, 340  # of the axes with their labels; each run's line of the legend adds LINE
LEFT, RIGHT, TOP, BOTTOM = 52, 28, 30, 40
LINE = 20
MOST_POINTS = 400  # of a curve: more than can be told apart
MOST_DOTS = 40
FEWEST_STEPS = 5.0  # on the axis, so that its ticks are whole steps
MOST_NAME = 44
SMOOTHED_OVER = 50  # a window is the run's length divided by it, as in loss.png
LOG_FROM = 30  # ratio of the largest to the smallest loss from which the axis is logarithmic
SMALLEST, LARGEST = 1e-12, 1e30  # on a logarithmic axis, and at all
MOST_TICKS = 8

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Kind:
    """A kind of curve: its name in the legend, and how its line looks."""

    title: str
    width: float
    opacity: float = 1.0
    dashes: str = "none"
    smoothed: bool = False


@dataclass(frozen=True)
class Quantity:
    """What the curves of a figure show.

    Args:
        name: on its axis, of one value.
        title: what a screen reader says before the names.
        kinds: by column; the legend counts the values that the first lacks.
        lacking: the legend's word for them.
        orders: whether values of several orders of magnitude take a logarithmic axis.
    """

    name: str
    title: str
    kinds: Mapping[str, Kind]
    lacking: str
    orders: bool


KINDS = {
    "loss": Kind("training, smoothed", 1.4, opacity=0.7, smoothed=True),
    "validation_loss": Kind("validation", 1.8),
    "validation_loss_ema": Kind("validation, EMA", 1.8, dashes="5 3"),
}
LOSS = Quantity("loss", "losses by step", KINDS, "not finite", orders=True)


def draw_curves(runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], quantity: Quantity = LOSS) -> Markup:
    """Draw numbers over steps, each run in a colour of its own; equal input gives equal text.

    Values that are not finite leave no point; the legend counts them.

    Args:
        runs: names and rows, a step each: of losses, trainings and metrics.jsonl. Names may be anything: they are text.

    Returns:
        An `<svg>` without ids, styles or scripts; it takes the page's font and text colour.
    """
    curves = [{column: _points_of(rows, column, kind) for column, kind in quantity.kinds.items()} for _, rows in runs]
    points = [point for by_kind in curves for found in by_kind.values() for point in found]
    height = HEIGHT + LINE * len(runs)
    if points:
        x, y = _step_axis([step for step, _ in points]), _value_axis([value for _, value in points], quantity.orders)
        inside = [_draw_axes(x, y, quantity.name), _draw_kinds(curves, quantity.kinds)]
        drawn = enumerate(curves)
        inside += [_draw_run(by_kind, quantity.kinds, colour_of(number), x, y) for number, by_kind in drawn]
    else:
        inside = [text(WIDTH / 2, HEIGHT / 2, f"no finite {quantity.name} yet", anchor="middle")]
    inside += [_draw_name(number, name, rows, quantity) for number, (name, rows) in enumerate(runs)]
    return figure(WIDTH, height, f"{quantity.title}: {', '.join(name for name, _ in runs)}", inside)


def _points_of(rows: Sequence[Mapping[str, Any]], column: str, kind: Kind) -> Points:
    points = read_points(rows, column)
    return smooth(points) if kind.smoothed else points


def read_points(rows: Sequence[Mapping[str, Any]], column: str) -> Points:
    """Take the finite values of a column: (step, value) each."""
    pairs = ((_number(row.get("step")), _number(row.get(column))) for row in rows)
    return tuple((step, value) for step, value in pairs if step is not None and value is not None)


def smooth(points: Points) -> Points:
    """Replace each value by the mean of those before it, over a window that grows with their number."""
    window = max(1, len(points) // SMOOTHED_OVER)
    if not points:
        return points
    steps, values = np.array(points).T
    means = np.convolve(values, np.ones(window) / window, mode="valid")
    return tuple(zip(steps[window - 1 :].tolist(), means.tolist(), strict=True))


def _number(value: Any) -> float | None:
    """Take what a figure can show: a finite number; JSON also has true, texts and integers of any size."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
    return float(value) if is_number else None


def _step_axis(steps: Sequence[float]) -> Axis:
    most = max(FEWEST_STEPS, *steps)
    ticks = nice_ticks(0, most, about=5)
    return Axis(0, most, LEFT, WIDTH - RIGHT, tuple(tick for tick in ticks if tick <= most))


def _value_axis(values: Sequence[float], orders: bool) -> Axis:
    """Span all values, from 0 unless they lie close together; upwards is towards TOP."""
    least, most = min(values), max(values)
    if orders and least > SMALLEST and most / least > LOG_FROM:
        first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
        ticks = tuple(10.0**power for power in (*range(first, last, -(-(last - first) // MOST_TICKS)), last))
        return Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP, ticks, logarithmic=True)
    if 0 < least < most / 2:
        least = 0.0
    if most - least < abs(most) / 1e6 or least == most:  # closer than the ticks' labels can tell
        least, most = least - abs(least or 1) / 10, most + abs(most or 1) / 10
    ticks = nice_ticks(least, most, about=MOST_TICKS)
    return Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP, ticks)


def _draw_axes(x: Axis, y: Axis, name: str) -> Markup:
    lines = []
    for tick in y.ticks:
        at = y.place(tick)
        lines.append(line(LEFT, at, WIDTH - RIGHT, at, opacity=0.15))
        lines.append(text(LEFT - 6, at + FONT / 3, f"{tick:.6g}", anchor="end"))
    for tick in x.ticks:
        lines.append(line(x.place(tick), y.start, x.place(tick), y.start + 4, opacity=0.6))
        lines.append(text(x.place(tick), y.start + 6 + FONT, f"{tick:,.6g}", anchor="middle"))
    lines.append(line(LEFT, y.start, WIDTH - RIGHT, y.start, opacity=0.6))
    lines.append(text(WIDTH - RIGHT, HEIGHT - 4, "step", anchor="end"))
    lines.append(text(LEFT - 6, 12 + FONT / 3, name, anchor="end"))
    return Markup("\n").join(lines)


def _draw_kinds(curves: Sequence[Mapping[str, Points]], kinds: Mapping[str, Kind]) -> Markup:
    """Draw the key of the line styles, those that occur, in a row above the axes."""
    parts, left = [], float(LEFT)
    for column, kind in kinds.items():
        if any(by_kind[column] for by_kind in curves):
            parts.append(_curve([(left, 12), (left + 24, 12)], kind, "currentColor"))
            parts.append(text(left + 30, 12 + FONT / 3, kind.title))
            left += 30 + 7 * len(kind.title) + 14
    return Markup("\n").join(parts)


def _draw_run(by_kind: Mapping[str, Points], kinds: Mapping[str, Kind], colour: str, x: Axis, y: Axis) -> Markup:
    parts = []
    for column, kind in kinds.items():
        points = [(x.place(step), y.place(value)) for step, value in _thinned(by_kind[column])]
        if points:
            parts.append(_curve(points, kind, colour))
        if len(points) == 1 or (not kind.smoothed and len(points) <= MOST_DOTS):
            parts += [dot(across, down, colour) for across, down in points]
    return Markup("\n").join(parts)


def _draw_name(number: int, name: str, rows: Sequence[Mapping[str, Any]], quantity: Quantity) -> Markup:
    """Draw a run's line of the legend: its colour, its name, and how many of its values are lacking."""
    down = HEIGHT + LINE * number + LINE / 2
    lost = sum(_number(row.get(next(iter(quantity.kinds)))) is None for row in rows)
    shown = name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
    note = f" ({lost:,} {quantity.lacking})" if lost else ""
    words = text(LEFT + 30, down + FONT / 3, shown + note, title=name)
    return bar(LEFT, down - 2, 24, 4, colour_of(number)) + words


def _thinned(points: Points) -> Points:
    """Keep at most MOST_POINTS points, evenly chosen, the first and the last among them."""
    if len(points) <= MOST_POINTS:
        return points
    return tuple(points[index] for index in np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int))


def _curve(points: Points | list[tuple[float, float]], kind: Kind, colour: str) -> Markup:
    return polyline(points, colour, width=kind.width, opacity=kind.opacity, dashes=kind.dashes)
