"""Masks: a box and its extended box -> a polygon -> pixels -> latent size. Mask 1 = repaint, everywhere.

A mask is stored as its polygon, x y pairs in shares of the crop; `raster_mask` is the one way from there to pixels.
"""

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Polygon, Sides
from pipeline.draws.rings import split_rings

if TYPE_CHECKING:
    import torch

POINTS_A_SIDE = 20
JITTER_PX = 5  # of a photo whose long side is JITTER_REFERENCE_PX
JITTER_REFERENCE_PX = 1024
_GRID, _FINE_GRID = 128, 640
# Share of the box that the polygon must cover on a grid, which counts the outline in: more than the promised 0.95.
MIN_COVER = {_GRID: 0.97, _FINE_GRID: 0.98}
_ROUGH = 32  # boxes with a side shorter than so many jitters have outlines too long for the coarse grid
_SHIFT = 12  # bits of subpixel coordinates


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
        bounds: [4] likewise, around the extended box; points beyond are brought to its edge before the cover is told.

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
    return float(_fill([unit], grid).mean())


def raster_mask(polygon: Polygon, resolution: int) -> NDArray[np.uint8]:
    """Turn a stored polygon into pixels: the one raster of the project.

    A pixel that the outline touches belongs to the hole, which so grows by half a pixel at most. Where the polygon
    joins several rings, pieces or holes of a traced mask, they are filled by the even-odd rule.

    Args:
        polygon: [n, 2] x y, shares of the crop; see pipeline.rings.

    Returns:
        [resolution, resolution] uint8, 1 = repaint.
    """
    return _fill(split_rings(np.asarray(polygon, np.float64)), resolution)


def latent_mask(mask: "torch.Tensor", size: tuple[int, int]) -> "torch.Tensor":
    """Bring a mask to latent size by bilinear resize without antialias, as the official code trains.

    Args:
        mask: [b, 1, h, w] float, 1 = repaint.
        size: height and width of the latent.

    Returns:
        [b, 1, *size] float in [0, 1]; for a factor of 8 the mean of the central 2 x 2 of each block.
    """
    import torch  # here, since pixels do without it

    return torch.nn.functional.interpolate(mask, size=size, mode="bilinear", align_corners=False, antialias=False)


def reduce_mask(mask: NDArray[np.uint8], factor: int) -> NDArray[np.float32]:
    """Bring one raster to latent size: the numbers of `latent_mask`, without the arithmetic that comes to nothing.

    Args:
        mask: [h, w], 1 = repaint; h and w multiples of the factor.

    Returns:
        [h / factor, w / factor] in [0, 1].
    """
    first, second = (factor - 1) // 2, factor // 2  # the pixels beside the middle of a block; one, if it is odd
    rows = mask[first::factor] + mask[second::factor]
    summed = rows[:, first::factor] + rows[:, second::factor]
    return summed * np.float32(0.25)


def _fill(unit_rings: list[NDArray[np.float64]], resolution: int) -> NDArray[np.uint8]:
    """Fill rings in shares of a square; a point p lies p * resolution - 0.5 px from the first pixel's centre."""
    scale, half = resolution << _SHIFT, 1 << _SHIFT >> 1
    steps = [np.rint(np.clip(ring, -4, 5) * scale - half).astype(np.int32) for ring in unit_rings]
    mask = np.zeros((resolution, resolution), np.uint8)
    cv2.fillPoly(mask, steps, (1,), shift=_SHIFT)
    return mask


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
