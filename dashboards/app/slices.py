"""Slices: titles of any characters -> names of slices that FiftyOne can keep, each its own."""

import re
from collections.abc import Iterable

_NO_KEY = re.compile(r"[.$\x00-\x1f\x7f]|^_")  # FiftyOne's database keeps the names of slices as keys
POINT = "·"


def slice_name(title: str) -> str:
    """Name a slice: `guidance 2.5` becomes `guidance 2·5`."""
    return _NO_KEY.sub(POINT, title) or POINT


def slice_names(titles: Iterable[str]) -> list[str]:
    """Name slices in their order; one whose name an earlier one has gets a number: `source`, `source (2)`."""
    names: list[str] = []
    for title in titles:
        name, number = slice_name(title), 1
        while name in names:
            number += 1
            name = f"{slice_name(title)} ({number})"
        names.append(name)
    return names
