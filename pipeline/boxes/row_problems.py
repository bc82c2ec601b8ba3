"""Row problems: a row of a box table -> what is wrong with it, in words; many rows -> the likely cause."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes.malformed import DUPLICATE, OUTSIDE_TOLERANCE
from schemas.boxes import COORDINATE_COLUMNS, FLAG_COLUMNS, REQUIRED_COLUMNS

Sides = NDArray[np.float64]

EXPLAINED = 0.99  # of the rows, by another reading of their numbers
# What the columns in the order of COORDINATE_COLUMNS may hold instead.
OTHER_ORDERS = (
    ("XMin", "XMax", "YMin", "YMax"),
    ("XMax", "YMax", "XMin", "YMin"),
    ("XMax", "YMin", "XMin", "YMax"),
    ("XMin", "YMax", "XMax", "YMin"),
    ("YMin", "YMax", "XMin", "XMax"),
)
_FLAG_WORDS = ("", "true", "false", "nan", "na", "null", "none")


def row_problem(row: Sequence[str], header: Sequence[str]) -> str:
    """Describe what is wrong with one row; empty where nothing is.

    Args:
        header: the names of its columns, REQUIRED_COLUMNS among them.
    """
    if len(row) != len(header):
        return f"{len(row)} fields where the header has {len(header)}"
    values = {name: value.strip() for name, value in zip(header, row, strict=True)}
    for name in REQUIRED_COLUMNS[:2]:
        if not values[name]:
            return f"column {name} is empty"
    numbers = []
    for name in COORDINATE_COLUMNS:
        try:
            numbers.append(float(values[name]))
        except ValueError:
            numbers.append(math.nan)
        if not math.isfinite(numbers[-1]):
            hints = {",": " has a decimal comma; write 0.5, not 0,5", "%": " is a percentage; write 0.5, not 50%"}
            hint = next((hint for mark, hint in hints.items() if mark in values[name]), " is not a number")
            return f"column {name}: {values[name]!r}{hint}"
        if not -OUTSIDE_TOLERANCE <= numbers[-1] <= 1 + OUTSIDE_TOLERANCE:
            return f"column {name}: {values[name]!r}; boxes are shares of the photo's width and height, 0..1"
    x_min, y_min, x_max, y_max = np.clip(numbers, 0, 1)
    if x_max <= x_min or y_max <= y_min:
        return f"column {'XMax' if x_max <= x_min else 'YMax'}: the box is empty, its end is not beyond its start"
    for name in FLAG_COLUMNS:
        if not _is_flag(values.get(name, "").lower()):
            return f"column {name}: {values[name]!r} is none of 1, 0, -1"
    return ""


def likely_cause(reasons: Mapping[str, int], sides: Sides) -> str:
    """Guess why so many rows are malformed; empty where nothing suggests itself.

    Args:
        reasons: rows by reason.
        sides: [n, 4] XMin, YMin, XMax, YMax of some rows, bad and good.
    """
    most = max(reasons, key=lambda reason: reasons[reason], default="")
    if not most or 2 * reasons[most] < sum(reasons.values()):
        return ""
    if most == DUPLICATE:
        return "the same table in two forms, or tables that overlap"
    if most == "wrong_field_count":
        return "decimal commas, or names with a comma that are not in quotes"
    return other_reading(sides) if most in ("outside_photo", "empty_box") else ""


def other_reading(sides: Sides) -> str:
    """Guess what numbers mean that are no shares of a photo; empty where nothing suggests itself.

    Args:
        sides: [n, 4] XMin, YMin, XMax, YMax.
    """
    sides = sides[np.isfinite(sides).all(axis=1)]
    if not len(sides):
        return ""
    largest = sides.max(axis=1)
    beyond = largest[largest > 1 + OUTSIDE_TOLERANCE]
    if len(beyond) and np.quantile(beyond, EXPLAINED) > 2:  # a width beside its start is at most 2
        return "percent, 0 to 100" if np.quantile(beyond, EXPLAINED) <= 100 else "pixels"
    for order in OTHER_ORDERS:
        if _are_boxes(sides[:, [order.index(name) for name in COORDINATE_COLUMNS]]):
            return f"columns in another order: {','.join(COORDINATE_COLUMNS)} hold {','.join(order)}"
    start, size = sides[:, :2], sides[:, 2:]
    if _are_boxes(np.hstack([start, start + size])):
        return "XMax and YMax hold width and height"
    if _are_boxes(np.hstack([start - size / 2, start + size / 2])):
        return "the columns hold a box's centre, width and height"
    return ""


def _is_flag(text: str) -> bool:
    try:
        return text in _FLAG_WORDS or float(text) in (-1, 0, 1)
    except ValueError:
        return False


def _are_boxes(sides: Sides) -> bool:
    """Whether nearly all of [n, 4] are boxes within the photo."""
    inside = (sides >= -OUTSIDE_TOLERANCE).all(axis=1) & (sides <= 1 + OUTSIDE_TOLERANCE).all(axis=1)
    return bool((inside & (sides[:, 2:] > sides[:, :2]).all(axis=1)).mean() >= EXPLAINED)
