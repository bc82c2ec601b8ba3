"""Hole sides: how large the holes of a training were -> quantiles in its model's note (pbe.json). Imports no torch.

A hole's side is the longest side of its box as a share of the crop's, 0..1, each axis of a squashed crop by itself: as
the model sees it.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOLE_SIDES = "hole_sides"
"""The note's key: by percent, as text, the side below which so many percent of the holes are."""
PERCENTS = (1, 5, 25, 50, 75, 95, 99)
_DIGITS = 4


def summarise_hole_sides(sides: NDArray[np.float32]) -> dict[str, float]:
    """Bring the sides of one hole or more, [n] in 0..1 and above 0, into the note's form."""
    quantiles = np.quantile(sides.astype(np.float64), np.array(PERCENTS) / 100)
    return {str(percent): round(side, _DIGITS) for percent, side in zip(PERCENTS, quantiles.tolist(), strict=True)}


def is_summary(value: Any) -> bool:
    """Whether a note's value is one: a share above 0 for each of PERCENTS, none below the one before."""
    if not isinstance(value, dict) or value.keys() != {str(percent) for percent in PERCENTS}:
        return False
    sides = [value[str(percent)] for percent in PERCENTS]
    return (
        all(type(side) in (int, float) for side in sides)
        and sides[0] > 0
        and sides[-1] <= 1
        and all(one <= next_one for one, next_one in pairwise(sides))
    )
