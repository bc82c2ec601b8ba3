"""Matrices of paired differences: one side is the other's negative, and colours follow the metric's direction."""

from pbe.evaluation.report.differences import tabulate_differences
from pbe.evaluation.summary import BenchFacts, Better, Difference, Mean, Metric, Row, Summary


def matrix_of(better: Better, *, p: float = 0.001) -> list[list[tuple[str, str] | None]]:
    differences = (Difference("seam", "a", "b", Mean(0.5, 0.1, 0.9, 7), p / 3, p),)
    rows = tuple(Row(name, "m") for name in ("b", "a", "unseen"))
    facts = BenchFacts("bench", "cases", 7, "0" * 16)
    [matrix] = tabulate_differences(Summary(facts, (Metric("seam", "seam", better),), rows, differences))
    assert matrix.names == ("b", "a")
    return [[cell and (cell.text, cell.verdict) for cell in line] for line in matrix.lines]


def test_both_sides_of_a_pair_are_shown_in_the_order_of_the_rows() -> None:
    assert matrix_of("lower") == [[None, ("-0.500", "better")], [("+0.500", "worse"), None]]
    assert matrix_of("higher") == [[None, ("-0.500", "worse")], [("+0.500", "better"), None]]
    assert matrix_of("neither") == [[None, ("-0.500", "differs")], [("+0.500", "differs"), None]]


def test_what_is_not_significant_after_correction_has_no_verdict() -> None:
    assert matrix_of("lower", p=0.06) == [[None, ("-0.500", "")], [("+0.500", ""), None]]


def test_a_cell_tells_the_interval_of_its_own_side() -> None:
    differences = (Difference("seam", "a", "b", Mean(0.5, 0.1, 0.9, 7), 0.01, 0.02),)
    facts = BenchFacts("bench", "cases", 7, "0" * 16)
    rows = (Row("a", "m"), Row("b", "m"))
    [matrix] = tabulate_differences(Summary(facts, (Metric("seam", "seam", "lower"),), rows, differences))
    cell = matrix.lines[1][0]
    assert cell and cell.words == "b - a: -0.500 [-0.900, -0.100], n 7, p 0.01, corrected 0.02"
