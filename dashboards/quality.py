"""Quality: index rows -> what makes a sample odd or hard: areas, cover, border, squash, strength of augmentation."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.draws.exemplars import Augmentation
from pipeline.draws.raster import raster_mask

QUALITY = pa.schema(
    [
        pa.field("area", pa.float32()),  # of the box, share of the photo: what the filter rule `area` looks at
        pa.field("box_share", pa.float32()),  # of the box, cut to the crop, share of the crop
        pa.field("mask_share", pa.float32()),  # of the mask, share of the crop
        pa.field("box_mask_ratio", pa.float32()),  # box_share / mask_share
        pa.field("cover", pa.float32()),  # share of the box, cut to the crop, that the mask covers
        pa.field("around", pa.float32()),  # share of the mask that lies outside the box
        pa.field("at_border", pa.bool_()),  # the mask reaches the crop's edge
        pa.field("squashed", pa.bool_()),  # the crop was no square: fit = squash
        pa.field("augmentation_strength", pa.float32()),  # see augmentation_strength
    ]
)
NEEDED = ("box", "box_in_crop", "mask_polygon", "fit", "augmentation")  # columns of the index

_DEGREES, _BLUR_PX, _AFFINE_PX = 20.0, 7.0, 50.0  # the largest values that an augmentation takes


def measure(rows: pa.Table, *, resolution: int) -> pa.Table:
    """Measure samples.

    Args:
        rows: of the index, with the columns NEEDED.
        resolution: of the source, in px; masks are counted in its pixels, as `raster_mask` sets them.

    Returns:
        QUALITY, a row for each of `rows`.
    """
    boxes = _matrix(rows["box"], 4)
    in_crop = np.clip(_matrix(rows["box_in_crop"], 4), 0, 1)
    masks = [_measure_mask(polygon, box, resolution) for polygon, box in zip(_polygons(rows), in_crop, strict=True)]
    share, inside, cells, at_border = (np.array(column, float) for column in _columns(masks, 4))
    box_share = (in_crop[:, 2] - in_crop[:, 0]) * (in_crop[:, 3] - in_crop[:, 1])
    with np.errstate(divide="ignore", invalid="ignore"):  # a box outside the crop, or an empty mask, has no ratio
        ratio, cover, around = box_share / share, inside / cells, 1 - inside / (share * resolution**2)
    columns = {
        "area": (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
        "box_share": box_share,
        "mask_share": share,
        "box_mask_ratio": ratio,
        "cover": cover,
        "around": around,
        "at_border": at_border.astype(bool),
        "squashed": np.array(rows["fit"].to_pylist(), object) == "squash",
        "augmentation_strength": [augmentation_strength(row) for row in rows["augmentation"].to_pylist()],
    }
    arrays = [pa.array(columns[field.name], field.type, from_pandas=True) for field in QUALITY]
    return pa.Table.from_arrays(arrays, schema=QUALITY)


def augmentation_strength(augmentation: Augmentation) -> float:
    """How much an augmentation changes an exemplar: 0 to 3, a third each for rotation, blur and affine; flips aside."""
    rotation = abs(augmentation["rotate_degrees"] or 0) / _DEGREES
    blur = (augmentation["blur_px"] or 0) / _BLUR_PX
    affine = float(np.abs(augmentation["affine_px"] or [0]).mean()) / _AFFINE_PX
    return rotation + blur + affine


def mean_mask(rows: pa.Table, *, cells: int) -> NDArray[np.float64]:
    """Average the masks of samples: [cells, cells], the share of the samples whose hole holds each cell."""
    total = np.zeros((cells, cells))
    for polygon in _polygons(rows):
        total += raster_mask(polygon, cells)
    return total / max(1, len(rows))


def _measure_mask(polygon: NDArray[np.float32], box: NDArray[np.float64], size: int) -> tuple[float, int, int, bool]:
    """Measure one mask: its share of the crop, its pixels in the box, the box's pixels, whether it is at the edge."""
    mask = raster_mask(polygon, size)
    left, top, right, bottom = np.rint(box * size).astype(int)
    box_pixels = (right - left) * (bottom - top)
    edges = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    # Reductions by numpy would take longer than the raster.
    inside = cv2.countNonZero(mask[top:bottom, left:right]) if box_pixels else 0
    return cv2.countNonZero(mask) / size**2, inside, int(box_pixels), any(bool(edge.any()) for edge in edges)


def _columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * count


def _matrix(column: pa.ChunkedArray, width: int) -> NDArray[np.float64]:
    """Read a column of lists of equal length: [n, width]."""
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    matrix: NDArray[np.float64] = np.asarray(values, np.float64).reshape(-1, width)
    return matrix


def _polygons(rows: pa.Table) -> list[NDArray[np.float32]]:
    """Read the polygons of rows: [points, 2] each."""
    column = rows["mask_polygon"].combine_chunks()
    if not len(column):
        return []
    values = np.asarray(column.values.to_numpy(zero_copy_only=False), np.float32)
    bounds = column.offsets.to_numpy()
    return [values[first:end].reshape(-1, 2) for first, end in pairwise(bounds)]
