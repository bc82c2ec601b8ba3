"""Text tables: a summary -> table.md and table.tex, of the same cells as the page. Equal summaries give equal bytes."""

import re
from collections.abc import Callable, Iterable

from pbe.evaluation.report.numbers import INTERVALS
from pbe.evaluation.report.reported import COLUMNS, ReportedTable, tabulate_reported
from pbe.evaluation.report.tables import Cell, Line, Table, tabulate
from pbe.evaluation.summary import Summary

_MARKDOWN = re.compile(r"([\\`*_\[\]#|~<>&@$])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "\N{EN DASH}": "--",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
}
PREAMBLE = r"% \usepackage[T1]{fontenc}, \usepackage{booktabs}; names that are not Latin need XeLaTeX or LuaLaTeX"


def write_markdown(summary: Summary) -> bytes:
    """Write the tables as GitHub reads them, banners first."""
    table, reported = tabulate(summary), tabulate_reported(summary)
    rows = [_markdown_cells(line, len(table.headings)) for line in table.lines]
    names = ("reported by others", *COLUMNS.values(), "source")
    others = [[escape_markdown(text) for text in (line.name, *line.cells, line.where)] for line in reported.lines]
    parts = [
        f"# Evaluation on {escape_markdown(summary.bench.name)}",
        *(f"> **Warning: {escape_markdown(text)}**" for text in summary.banners),
        _grid(["row", *map(escape_markdown, table.headings)], rows),
        _list(_below(summary, table)),
        _grid(list(names), others),
        _list(reported.notes),
    ]
    return ("\n\n".join(filter(None, parts)) + "\n").encode()


def write_latex(summary: Summary) -> bytes:
    """Write the tables for booktabs; banners and notes are comments, since a caption is its author's."""
    table, reported = tabulate(summary), tabulate_reported(summary)
    said = [*summary.banners, *_below(summary, table)]
    parts = [
        PREAMBLE,
        *(f"% {_one_line(text)}" for text in said),
        _tabular(["row", *table.headings], [_latex_line(line, len(table.headings)) for line in table.lines]),
        *(f"% {_one_line(text)}" for text in reported.notes),
        _tabular(["reported by others", *COLUMNS.values(), "source"], _latex_reported(reported)),
    ]
    return ("\n".join(parts) + "\n").encode()


def escape_markdown(text: str) -> str:
    """Make a text that Markdown shows as it is, on one line: no markup, link, mention or column."""
    return (
        _MARKDOWN.sub(r"\\\1", _one_line(text)).replace("\\&", "&amp;").replace("\\<", "&lt;").replace("\\@", "&#64;")
    )


def escape_latex(text: str) -> str:
    """Make a text that LaTeX sets as it is, on one line."""
    return "".join(_LATEX.get(letter, letter) for letter in _one_line(text))


def _one_line(text: str) -> str:
    words = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(words.split())


def _list(texts: Iterable[str]) -> str:
    return "\n".join(f"- {escape_markdown(text)}" for text in texts)


def _below(summary: Summary, table: Table) -> list[str]:
    """List what a reader must know besides the cells; what several rows have in common once."""
    noted: dict[str, list[str]] = {}
    for line in table.lines:
        for note in line.notes:
            noted.setdefault(note, []).append(line.name)
    rows = [f"{', '.join(names)}: {note}" for note, names in noted.items()]
    unmeasured = [f"Not measured: {title}: {reason}" for title, reason in table.unmeasured]
    return [
        *rows,
        *unmeasured,
        *summary.notes,
        f"In brackets: {INTERVALS} Bold: the best of a column, controls aside.",
    ]


def _markdown_cells(line: Line, columns: int) -> list[str]:
    name = escape_markdown(line.name)
    if line.unavailable:
        return [name, escape_markdown(f"unavailable: {line.unavailable}"), *[""] * (columns - 1)]
    return [name, *(_join(cell, str, "**{}**", "{}") for cell in line.cells)]


def _grid(headings: list[str], rows: Iterable[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [headings, rule, *rows])


def _latex_line(line: Line, columns: int) -> str:
    # Braces: a name that begins with * or [ would be read as an option of the line's end before it.
    name = f"{{{escape_latex(line.name)}}}"
    if line.unavailable:
        return rf"{name} & \multicolumn{{{columns}}}{{l}}{{unavailable: {escape_latex(line.unavailable)}}} \\"
    cells = (_join(cell, escape_latex, r"\textbf{{{}}}", r"{{\scriptsize {}}}") for cell in line.cells)
    return rf"{' & '.join([name, *cells])} \\"


def _latex_reported(reported: ReportedTable) -> list[str]:
    return [
        rf"{' & '.join([f'{{{escape_latex(line.name)}}}', *map(escape_latex, (*line.cells, line.where))])} \\"
        for line in reported.lines
    ]


def _tabular(headings: list[str], lines: Iterable[str]) -> str:
    top = rf"{' & '.join(f'{{{escape_latex(text)}}}' for text in headings)} \\"
    columns = "l" + "r" * (len(headings) - 1)
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", top, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(body)


def _join(cell: Cell, escape: Callable[[str], str], best: str, small: str) -> str:
    """Put a cell's parts together in a markup."""
    text = escape(cell.text)
    more = [small.format(escape(part)) for part in (cell.interval, cell.note) if part]
    return " ".join([best.format(text) if cell.best else text, *more])
