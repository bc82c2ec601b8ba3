"""Masks: a box and its extended box -> the polygon of a mask.

A mask is stored as its polygon, x y pairs in shares of the crop; raster.py is the one way from there to pixels.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Sides
from pipeline.draws.raster import fill

POINTS_A_SIDE = 20
JITTER_PX = 5  # of a photo whose long side is JITTER_REFERENCE_PX
JITTER_REFERENCE_PX = 1024
_GRID, _FINE_GRID = 128, 640
# Share of the box that the polygon must cover on a grid, which counts the outline in: more than the promised 0.95.
MIN_COVER = {_GRID: 0.97, _FINE_GRID: 0.98}
_ROUGH = 32  # boxes with a side shorter than so many jitters have outlines too long for the coarse grid


@cache
def curve_basis() -> NDArray[np.float64]:
    """Weights of the three control points of a quadratic Bezier curve at t = i/20, i = 0..19: [20, 3]."""
    import bezier  # here, since only new masks need it

    return np.ascontiguousarray(bezier.Curve(np.eye(3), degree=2).evaluate_multi(np.arange(POINTS_A_SIDE) / 20).T)


def draw_bezier_mask(
    box: Sides, extended: Sides, long_side: int, rng: np.random.Generator, *, bounds: Sides
) -> NDArray[np.float64]:
    """Draw an arbitrary shape around a box: four quadratic curves, one a side, jittered (section 3.2 of the paper).

    Each curve runs from corner to corner of the box, its middle control point pushed out to the extended box. The
    jitter of up to 5 px is that of a photo 1,024 px long. Where points inside the box would uncover more than 5 % of
    it, they are pulled out to its outline, and if that is not enough the jitter is halved: without any, the polygon
    contains the box.

    Args:
        box: [4] x_min y_min x_max y_max in px.
        extended: [4] likewise, around the box.
        long_side: of the photo, in px.
        bounds: [4] likewise, around the extended box; points beyond are moved to its edge before the cover is measured.

    Returns:
        [80, 2] x y in px, going round the box, within the bounds.
    """
    x0, y0, x1, y1 = box
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    controls = np.array(
        [
            [(x0, y0), (middle_x, extended[1]), (x1, y0)],
            [(x1, y0), (extended[2], middle_y), (x1, y1)],
            [(x1, y1), (middle_x, extended[3]), (x0, y1)],
            [(x0, y1), (extended[0], middle_y), (x0, y0)],
        ]
    )  # [side, control point, x y]
    smooth: NDArray[np.float64] = (curve_basis() @ controls).reshape(-1, 2)  # [20,3] @ [4,3,2] -> [80,2]
    scale = long_side / JITTER_REFERENCE_PX
    jitter = rng.integers(-JITTER_PX, JITTER_PX, smooth.shape, endpoint=True) * scale
    grid = _FINE_GRID if min(x1 - x0, y1 - y0) < _ROUGH * JITTER_PX * scale else _GRID
    polygon: NDArray[np.float64] = np.clip(smooth + jitter, bounds[:2], bounds[2:])
    if cover(polygon, box, grid=grid) >= MIN_COVER[grid]:
        return polygon
    for strength in (1.0, 0.5, 0.25, 0.125):
        polygon = np.clip(_pull_out(smooth + strength * jitter, box), bounds[:2], bounds[2:])
        if cover(polygon, box, grid=grid) >= MIN_COVER[grid]:
            return polygon
    return smooth


def rectangle(extended: Sides) -> NDArray[np.float64]:
    """Corners of a box, [4, 2] x y, going round it."""
    x0, y0, x1, y1 = extended
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


def cover(polygon: NDArray[np.float64], box: Sides, *, grid: int = _GRID) -> float:
    """Share of the box that the polygon covers, its outline counted in, on a grid of cells.

    Args:
        polygon: [n, 2] x y, and
        box: [4] x_min y_min x_max y_max, in any one unit.
        grid: cells along a side of the box.
    """
    unit = (polygon - box[:2]) / (box[2] - box[0], box[3] - box[1])
    return float(fill([unit], grid).mean())


def _pull_out(polygon: NDArray[np.float64], box: Sides) -> NDArray[np.float64]:
    """Move each point inside the box to the nearest point of its outline."""
    x, y = polygon[:, 0], polygon[:, 1]
    depths = np.stack([x - box[0], y - box[1], box[2] - x, box[3] - y])  # [side, point]; positive: inside
    inside = (depths > 0).all(axis=0)
    nearest = depths.argmin(axis=0)
    pulled = polygon.copy()
    points = np.flatnonzero(inside)
    pulled[points, nearest[points] % 2] = np.array(box)[nearest[points]]
    return pulled
