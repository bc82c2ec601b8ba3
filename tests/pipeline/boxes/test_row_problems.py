"""What is said of bad rows, and what is guessed from many."""

import numpy as np
import pytest

from pipeline.boxes.malformed import malformed_position
from pipeline.boxes.row_problems import Sides, likely_cause, row_problem
from schemas.boxes import COORDINATE_COLUMNS
from tests.pipeline.boxes.test_tables import HEADER, boxes_of_text

X0, Y0, X1, Y1 = range(4)


@pytest.fixture(scope="module")
def sides() -> Sides:
    """Boxes of all sizes and places."""
    ends = np.sort(np.random.default_rng(0).random((200, 2, 2)), axis=2)
    return np.stack([ends[:, 0, 0], ends[:, 1, 0], ends[:, 0, 1], ends[:, 1, 1]], axis=1)


def centred(sides: Sides) -> Sides:
    start, end = sides[:, :2], sides[:, 2:]
    return np.hstack([(start + end) / 2, end - start])


@pytest.mark.parametrize(
    ("mistake", "cause"),
    [
        (lambda s: s[:, [X0, X1, Y0, Y1]], "columns in another order: XMin,YMin,XMax,YMax hold XMin,XMax,YMin,YMax"),
        (lambda s: s[:, [X1, Y1, X0, Y0]], "columns in another order: XMin,YMin,XMax,YMax hold XMax,YMax,XMin,YMin"),
        (lambda s: s[:, [X0, Y1, X1, Y0]], "columns in another order: XMin,YMin,XMax,YMax hold XMin,YMax,XMax,YMin"),
        (lambda s: np.hstack([s[:, :2], s[:, 2:] - s[:, :2]]), "XMax and YMax hold width and height"),
        (centred, "the columns hold a box's centre, width and height"),
        (lambda s: s * 100, "percent, 0 to 100"),
        (lambda s: np.round(s * 1024), "pixels"),
        (lambda s: s[:, [X0, X1, Y0, Y1]] * 1024, "pixels"),
        (lambda s: s * 0.5, ""),  # nothing that shows
    ],
)
def test_the_likely_cause_of_wrong_numbers_is_named(sides: Sides, mistake: object, cause: str) -> None:
    wrong = mistake(sides)  # type: ignore[operator]
    lines = [f"a,/m/1,{x0},{x1},{y0},{y1}" for x0, y0, x1, y1 in wrong]
    table = boxes_of_text("\n".join([HEADER, *lines]))
    bad = malformed_position(table) >= 0
    assert bad.any() == bool(cause)
    reasons = {"outside_photo" if "per" in cause or "pix" in cause else "empty_box": int(bad.sum()), "no_label": 1}
    read = np.stack([table[name].to_numpy() for name in COORDINATE_COLUMNS], axis=1)
    assert likely_cause(reasons, np.vstack([read, [[np.nan] * 4, [0.5, 0.5, 0.5, 3e38]]])[:-1]) == cause


def test_a_row_is_a_problem_just_where_it_is_malformed() -> None:
    header = [*HEADER.split(","), "IsGroupOf"]
    numbers = ("0", "0.1", "0.9", "1", "1.0005", "1.0009", "1.002", "-0.0005", "-2", "nan", "inf", "1e999", "x", "")
    rows = [["a", "/m/1", x0, x1, y0, "0.95", "0"] for x0 in numbers for x1 in numbers for y0 in ("0.1", "0.95")]
    rows += [["a", "/m/1", "0.1", "0.9", "0.1", "0.9", flag] for flag in ("", "2", "1.00", "-1.0", "TRUE", "y", "NA")]
    rows += [["", "/m/1", "0.1", "0.9", "0.1", "0.9", "0"], ["a", "", "0.1", "0.9", "0.1", "0.9", "0"]]
    table = boxes_of_text("\n".join(",".join(row) for row in [header, *rows]))
    assert [bool(row_problem(row, header)) for row in rows] == (malformed_position(table) >= 0).tolist()
