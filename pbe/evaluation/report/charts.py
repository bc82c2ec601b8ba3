"""Charts: a summary and scores -> bars with intervals, guidance curves, copying against similarity, as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pbe.evaluation.report.numbers import EXACT, heading, interval_text, value_text
from pbe.evaluation.report.tables import has_value
from pbe.evaluation.summary import Metric, Row, Summary
from pipeline.pages.svg import FONT, Axis, bar, colour_of, dot, figure, line, nice_ticks, polyline, text
from schemas.scores import SIMILARITY

WIDTH = 380  # as a phone shows it: text keeps its size there
BAR_LINE, BAR_PX = 40, 11
VALUE_PX = 58  # at the right, for the value
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 44
PLOT_HEIGHT = 270
KEY_LINE = 20
MOST_NAME = 46
SMALLEST = 1e-12  # what is closer together is the same
COPYING = "copy_paste"
CURVES = ("frechet", "clip_score_official", "clip_score_fixed", SIMILARITY, COPYING)


@dataclass(frozen=True)
class Chart:
    """A chart and its heading."""

    title: str
    svg: Markup


@dataclass(frozen=True)
class Point:
    """A value and its interval, without one where both are None."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        return (
            self.value if self.low is None else min(self.low, self.value),
            self.value if self.high is None else max(self.high, self.value),
        )


def point_of(row: Row, key: str) -> Point | None:
    """Take a row's value of a metric; None where it has none."""
    if key == "frechet":
        return Point(row.frechet.value) if row.frechet else None
    mean = row.means.get(key)
    return Point(mean.value, mean.low, mean.high) if mean else None


def draw_bars(summary: Summary) -> list[Chart]:
    """Draw each metric: a bar for each row, from zero, with its interval."""
    charts = []
    for metric in summary.metrics:
        rows = [(row, point_of(row, metric.key)) for row in summary.rows if has_value(row, metric.key)]
        if any(found for _, found in rows):
            charts.append(Chart(heading(metric), _bars(metric, rows, colours_of(summary))))
    return charts


def colours_of(summary: Summary) -> dict[str, str]:
    """Give each method a colour, which all its rows have."""
    methods = dict.fromkeys(row.method for row in summary.rows if not row.unavailable)
    return {method: colour_of(number) for number, method in enumerate(methods)}


def sweeps(rows: Sequence[Row]) -> list[list[Row]]:
    """Gather the rows of each method and variant that ran at two guidance scales or more, by scale."""
    series: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.guidance is not None and not row.unavailable:
            series.setdefault((row.method, row.variant), []).append(row)
    swept = [found for found in series.values() if len({row.guidance for row in found}) > 1]
    return [sorted(found, key=lambda row: row.guidance or 0) for found in swept]


def draw_guidance(summary: Summary) -> list[Chart]:
    """Draw what guidance does: a line for each method and variant that ran at two scales or more."""
    swept = sweeps(summary.rows)
    charts = []
    for metric in _chosen(summary, CURVES):
        lines = [(f"{rows[0].method} {rows[0].variant}".strip(), _by_guidance(rows, metric.key)) for rows in swept]
        lines = [(name, points) for name, points in lines if len(points) > 1]
        if lines:
            charts.append(Chart(f"{heading(metric)} by guidance", _curves(metric, lines)))
    return charts


def draw_copying(summary: Summary) -> list[Chart]:
    """Draw copying against each similarity, or against the CLIP score where there is no similarity.

    Each row is a number at its means, with its intervals.
    """
    copying = next((metric for metric in _chosen(summary, (COPYING,))), None)
    across = _chosen(summary, (SIMILARITY,)) or _chosen(summary, ("clip_score_official", "clip_score_fixed"))[:1]
    if copying is None:
        return []
    charts = []
    for metric in across:
        rows = [row for row in summary.rows if point_of(row, metric.key) and point_of(row, COPYING)]
        if rows:
            title = f"{copying.title} against {metric.title}"
            charts.append(Chart(title, _scatter(summary, rows, metric, copying)))
    return charts


def _chosen(summary: Summary, starts: Sequence[str]) -> list[Metric]:
    """List the measured metrics whose key begins so, in that order."""
    measured = [metric for metric in summary.metrics if any(has_value(row, metric.key) for row in summary.rows)]
    return [metric for start in starts for metric in measured if metric.key.startswith(start)]


def _bars(metric: Metric, rows: Sequence[tuple[Row, Point | None]], colours: dict[str, str]) -> Markup:
    """Draw a bar for each row; one that is exact has a word in its place."""
    ends = [end for _, found in rows if found for end in found.ends]
    least, most = min(0.0, *ends), max(0.0, *ends)
    axis = Axis(least, most if most > least else least + 1, 1, WIDTH - VALUE_PX, ())
    values = [value_text(metric.key, found.value) if found else EXACT for _, found in rows]
    shapes = []
    for number, ((row, found), value) in enumerate(zip(rows, values, strict=True)):
        down = number * BAR_LINE + FONT + 10
        interval = interval_text(metric.key, row.means[metric.key]) if metric.key in row.means else ""
        shapes.append(text(0, down - 7, _short(row.name), title=f"{row.name}: {value} {interval}".strip()))
        shapes.append(text(WIDTH, down + BAR_PX - 1, value, anchor="end"))
        if found:
            shapes.append(_bar(axis, found, down, colours[row.method]))
    bottom = len(rows) * BAR_LINE
    shapes.append(line(axis.place(0), 0, axis.place(0), bottom, opacity=0.5))
    label = "; ".join(f"{row.name} {value}" for (row, _), value in zip(rows, values, strict=True))
    return figure(WIDTH, bottom + 4, f"{metric.title}: {label}", shapes)


def _bar(axis: Axis, found: Point, down: float, colour: str) -> Markup:
    left, right = sorted((axis.place(0), axis.place(found.value)))
    shape = bar(left, down, max(1.0, right - left), BAR_PX, colour)
    if found.low is None and found.high is None:
        return shape
    return shape + _whisker(axis.place(found.ends[0]), axis.place(found.ends[1]), down + BAR_PX / 2, False)


def _whisker(first: float, last: float, at: float, upright: bool) -> Markup:
    """Draw an interval with its two ends."""
    strokes = [(first, at, last, at), (first, at - 3, first, at + 3), (last, at - 3, last, at + 3)]
    turned = [(y1, x1, y2, x2) for x1, y1, x2, y2 in strokes] if upright else strokes
    return Markup("").join(line(*stroke, opacity=0.9) for stroke in turned)


def _by_guidance(rows: Sequence[Row], key: str) -> list[tuple[float, Point]]:
    return [(row.guidance, found) for row in rows if row.guidance is not None and (found := point_of(row, key))]


def _curves(metric: Metric, lines: Sequence[tuple[str, Sequence[tuple[float, Point]]]]) -> Markup:
    scales = sorted({scale for _, points in lines for scale, _ in points})
    x = _axis(scales, LEFT, WIDTH - RIGHT, about=6)
    y = _axis([end for _, points in lines for _, found in points for end in found.ends], PLOT_HEIGHT - BOTTOM, TOP)
    shapes = [_frame(x, y, "guidance")]
    for number, (_, points) in enumerate(lines):
        colour = colour_of(number)
        shapes.append(polyline([(x.place(scale), y.place(found.value)) for scale, found in points], colour, width=1.8))
        for scale, found in points:
            if found.low is not None:
                shapes.append(_whisker(y.place(found.ends[0]), y.place(found.ends[1]), x.place(scale), True))
            shapes.append(dot(x.place(scale), y.place(found.value), colour, radius=3.5))
    shapes += [_key_line(number, colour_of(number), name) for number, (name, _) in enumerate(lines)]
    label = f"{metric.title} by guidance: {', '.join(name for name, _ in lines)}"
    return figure(WIDTH, PLOT_HEIGHT + KEY_LINE * len(lines), label, shapes)


def _scatter(summary: Summary, rows: Sequence[Row], across: Metric, up: Metric) -> Markup:
    """Draw each row's number at its means; thin lines follow the guidance of those that were swept."""
    colours = colours_of(summary)
    means = {row.name: (point_of(row, across.key), point_of(row, up.key)) for row in rows}
    ends = [[end for pair in means.values() if (found := pair[side]) for end in found.ends] for side in (0, 1)]
    x, y = _axis(ends[0], LEFT, WIDTH - RIGHT), _axis(ends[1], PLOT_HEIGHT - BOTTOM, TOP)
    shapes = [_frame(x, y, across.title)]
    for swept in sweeps(rows):
        pairs = [means[row.name] for row in swept]
        places = [(x.place(right.value), y.place(high.value)) for right, high in pairs if right and high]
        shapes.append(polyline(places, colours[swept[0].method], width=1.2, opacity=0.6))
    for number, row in enumerate(rows):
        right, high = means[row.name]
        if right and high:
            shapes.append(_mean_mark(number, row, right, high, x, y, colours[row.method]))
    shapes += [_key_line(number, colours[row.method], f"{number + 1}  {row.name}") for number, row in enumerate(rows)]
    label = f"{up.title} against {across.title} for {', '.join(row.name for row in rows)}"
    return figure(WIDTH, PLOT_HEIGHT + KEY_LINE * len(rows), label, shapes)


def _mean_mark(number: int, row: Row, right: Point, high: Point, x: Axis, y: Axis, colour: str) -> Markup:
    """Draw a row's number at its means, with both intervals."""
    across, down = x.place(right.value), y.place(high.value)
    marks = [_whisker(x.place(right.ends[0]), x.place(right.ends[1]), down, False)] if right.low is not None else []
    marks += [_whisker(y.place(high.ends[0]), y.place(high.ends[1]), across, True)] if high.low is not None else []
    marks += [dot(across, down, colour, radius=4.5), text(across + 7, down - 6, str(number + 1), title=row.name)]
    return Markup("").join(marks)


def _axis(values: Sequence[float], start: float, end: float, *, about: int = 4) -> Axis:
    """Span values with round ticks, wider where they are all the same."""
    least, most = min(values), max(values)
    size = max(abs(least), abs(most))
    if most - least <= max(SMALLEST, size * 1e-6):
        room = size / 10 if size > SMALLEST else 1.0
        least, most = least - room, most + room
    ticks = nice_ticks(least, most, about=about)
    return Axis(ticks[0], ticks[-1], start, end, ticks)


def _frame(x: Axis, y: Axis, words: str) -> Markup:
    """Draw both axes, their ticks, and what the lower one is; the chart's heading tells of the other."""
    shapes = []
    for tick in y.ticks:
        shapes.append(line(x.start, y.place(tick), x.end, y.place(tick), opacity=0.15))
        shapes.append(text(x.start - 6, y.place(tick) + FONT / 3, f"{tick + 0.0:.4g}", anchor="end"))
    for tick in x.ticks:
        shapes.append(line(x.place(tick), y.start, x.place(tick), y.start + 4, opacity=0.6))
        shapes.append(text(x.place(tick), y.start + 5 + FONT, f"{tick + 0.0:.4g}", anchor="middle"))
    shapes.append(line(x.start, y.start, x.end, y.start, opacity=0.6))
    shapes.append(text(x.end, y.start + 8 + 2 * FONT, _short(words), anchor="end"))
    return Markup("\n").join(shapes)


def _key_line(number: int, colour: str, name: str) -> Markup:
    down = PLOT_HEIGHT + KEY_LINE * number + KEY_LINE / 2
    return bar(0, down - 2, 20, 4, colour) + text(27, down + FONT / 3, _short(name), title=name)


def _short(name: str) -> str:
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
