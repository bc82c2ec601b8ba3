"""Tables: a summary -> the main table, as texts that HTML, Markdown and LaTeX share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pbe.evaluation.report.numbers import EXACT, NOTHING, heading, interval_text, value_text
from pbe.evaluation.summary import Better, Metric, Row, Summary

CONTROL = "control: "  # opens a note of methods whose result is known beforehand
PSNR, EXACTLY, COPY = "outside_psnr", "outside_exact", "copy_paste"


@dataclass(frozen=True)
class Cell:
    """A value as text.

    Args:
        interval: `[low, high]`; empty: none.
        note: how many cases it is of, where they are fewer than the row's pictures.
        best: of its column.
    """

    text: str
    interval: str = ""
    note: str = ""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A row with one cell for each heading; no cells where it did not run, and then why."""

    name: str
    notes: tuple[str, ...]
    cells: tuple[Cell, ...]
    unavailable: str = ""


@dataclass(frozen=True)
class Table:
    """The main table.

    Args:
        headings: of all columns but the first.
        unmeasured: metrics without a column, and why.
    """

    headings: tuple[str, ...]
    lines: tuple[Line, ...]
    unmeasured: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Column:
    heading: str
    better: Better
    cell: Callable[[Row], Cell]
    value: Callable[[Row], float | None]


def tabulate(summary: Summary) -> Table:
    """Lay out rows x metrics; the best of each column is marked, all that read like it too."""
    ran = [row for row in summary.rows if not row.unavailable]
    unmeasured = [(metric.title, _unmeasured(metric, ran)) for metric in summary.metrics]
    shown = [metric for metric, (_, reason) in zip(summary.metrics, unmeasured, strict=True) if not reason]
    columns = [_cases_column(), *(column for metric in shown for column in _columns(metric, ran))]
    marked = _mark_best(columns, ran)
    lines = [
        Line(row.name, row.notes, (), row.unavailable)
        if row.unavailable
        else Line(row.name, row.notes, tuple(cells[ran.index(row)] for cells in marked))
        for row in summary.rows
    ]
    headings = tuple(column.heading for column in columns)
    return Table(headings, tuple(lines), tuple((title, reason) for title, reason in unmeasured if reason))


def has_value(row: Row, key: str) -> bool:
    """Whether a row has something to show of a metric."""
    if key == "frechet":
        return row.frechet is not None
    return key in row.means or (key == PSNR and is_exact(row))


def is_control(row: Row) -> bool:
    """Whether a row's result is known beforehand, so that it competes with none."""
    return any(note.startswith(CONTROL) for note in row.notes)


def is_exact(row: Row) -> bool:
    """Whether nothing changed outside of the mask in any case of a row: its PSNR then has no value."""
    return EXACTLY in row.means and row.means[EXACTLY].value == 1


def _unmeasured(metric: Metric, ran: Sequence[Row]) -> str:
    if metric.unavailable:
        return metric.unavailable
    return "" if any(has_value(row, metric.key) for row in ran) else "no row has a value"


def _columns(metric: Metric, ran: Sequence[Row]) -> list[_Column]:
    """Lay out a metric: a Fréchet distance brings its number of pictures, its bias and its limit."""
    if metric.key == "frechet":
        return _frechet_columns(metric, ran)
    columns = [_Column(heading(metric), metric.better, lambda row: _mean_cell(row, metric.key), _mean_of(metric.key))]
    if metric.key == COPY and any(row.copy_normalised is not None for row in ran):
        columns.append(_plain(f"{metric.title}, normalised", lambda row: row.copy_normalised, COPY))
    return columns


def _cases_column() -> _Column:
    return _Column("cases", "neither", lambda row: Cell(_cases_text(row)), lambda row: None)


def _cases_text(row: Row) -> str:
    return f"{row.cases:,}, {row.failed:,} failed" if row.failed else f"{row.cases:,}"


def _frechet_columns(metric: Metric, ran: Sequence[Row]) -> list[_Column]:
    def number(row: Row) -> float | None:
        return row.frechet.value if row.frechet else None

    columns = [
        _Column(heading(metric), metric.better, lambda row: Cell(value_text(metric.key, number(row))), number),
        _Column("N", "neither", lambda row: Cell(f"{row.frechet.n:,}" if row.frechet else NOTHING), lambda row: None),
    ]
    if any(row.frechet and row.frechet.floor is not None for row in ran):
        columns.append(_plain("bias at N", lambda row: row.frechet.floor if row.frechet else None, metric.key))
    if any(row.frechet and row.frechet.extrapolated is not None for row in ran):
        columns.append(
            _plain("at infinite N", lambda row: row.frechet.extrapolated if row.frechet else None, metric.key)
        )
    return columns


def _plain(title: str, value: Callable[[Row], float | None], key: str) -> _Column:
    return _Column(title, "neither", lambda row: Cell(value_text(key, value(row))), value)


def _mean_of(key: str) -> Callable[[Row], float | None]:
    def value(row: Row) -> float | None:
        if key == PSNR and is_exact(row):
            return float("inf")
        return row.means[key].value if key in row.means else None

    return value


def _mean_cell(row: Row, key: str) -> Cell:
    if key == PSNR and is_exact(row):
        return Cell(EXACT)
    if key not in row.means:
        return Cell(NOTHING)
    mean = row.means[key]
    fewer = mean.n < row.cases - row.failed
    return Cell(value_text(key, mean.value), interval_text(key, mean), f"n {mean.n:,}" if fewer else "")


def _mark_best(columns: Sequence[_Column], ran: Sequence[Row]) -> list[list[Cell]]:
    """Make the cells, a list for each column, and mark the best of each, controls aside; none where all read alike."""
    marked = []
    for column in columns:
        cells = [column.cell(row) for row in ran]
        rivals = [(row, cell.text) for row, cell in zip(ran, cells, strict=True) if not is_control(row)]
        values = [(value, words) for row, words in rivals if (value := column.value(row)) is not None]
        if column.better != "neither" and len({words for _, words in values}) > 1:
            best = (max if column.better == "higher" else min)(values, key=lambda pair: pair[0])[1]
            marks = [cell.text == best and not is_control(row) for row, cell in zip(ran, cells, strict=True)]
            cells = [replace(cell, best=mark) for cell, mark in zip(cells, marks, strict=True)]
        marked.append(cells)
    return marked
