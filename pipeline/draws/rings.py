"""Rings: the outlines of a mask with pieces and holes <-> the one polygon that is stored, and back without loss.

The polygon goes round each ring, back to where it began, and on to the next; after the last ring it returns over the
points where the rings began. These ways between rings are walked there and back, so that any even-odd fill gives the
pieces and holes; `raster_mask` parts the rings first, so that the ways leave no line either.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[Any]  # [n, 2] x y, of any number type


def join_rings(rings: Sequence[Points]) -> Points:
    """Make one polygon of closed outlines.

    Raises:
        ValueError: a ring has no point of its own to begin at, which no mask of sense brings about.
    """
    begun: list[tuple[float, ...]] = []
    parts = []
    for ring in rings:
        points = list(map(tuple, ring.tolist()))
        visits = Counter(points)
        first = next((i for i, point in enumerate(points) if visits[point] == 1 and point not in begun), None)
        if first is None:
            raise ValueError("a ring goes twice through each of its points, or begins where another one does")
        begun.append(points[first])
        parts += [np.roll(ring, -first, axis=0), ring[first : first + 1]]
    if len(rings) == 1:
        return parts[0]
    return np.concatenate([*parts, np.array(begun[-2::-1], parts[0].dtype)])


def split_rings(polygon: Points) -> list[Points]:
    """Part a polygon into the rings it was joined of; any other polygon is one ring."""
    points = np.ascontiguousarray(polygon, np.float64).view(np.complex128)[:, 0]
    if np.count_nonzero(points == points[0]) == 1:
        return [polygon]
    rings, begun, at = [], [], 0
    while at < len(points) and len(again := np.flatnonzero(points[at + 1 :] == points[at])):
        stop = at + 1 + int(again[0])
        rings.append(polygon[at:stop])
        begun.append(points[at])
        at = stop + 1
    return rings if np.array_equal(points[at:], begun[-2::-1]) else [polygon]
