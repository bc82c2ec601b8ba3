"""Raster: a mask's polygon -> pixels -> latent cells, the one way to either. Mask 1 = repaint, everywhere."""

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Polygon
from pipeline.draws.rings import split_rings

if TYPE_CHECKING:
    import torch

_SHIFT = 12  # bits of subpixel coordinates


def raster_mask(polygon: Polygon, resolution: int) -> NDArray[np.uint8]:
    """Turn a stored polygon into pixels: the one raster of the project.

    A pixel that the outline touches belongs to the hole, which so grows by half a pixel at most. Where the polygon
    joins several rings, pieces or holes of a traced mask, they are filled by the even-odd rule.

    Args:
        polygon: [n, 2] x y, shares of the crop; see pipeline.draws.rings.

    Returns:
        [resolution, resolution] uint8, 1 = repaint.
    """
    return fill(split_rings(np.asarray(polygon, np.float64)), resolution)


def mask_of(row: dict[str, Any], resolution: int) -> NDArray[np.uint8]:
    """Turn the stored polygon of an index row into pixels: [resolution, resolution] uint8, 1 = repaint."""
    return raster_mask(np.array(row["mask_polygon"], np.float32).reshape(-1, 2), resolution)


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


def fill(unit_rings: list[NDArray[np.float64]], resolution: int) -> NDArray[np.uint8]:
    """Fill rings in shares of a square; a point p lies p * resolution - 0.5 px from the first pixel's centre."""
    scale, half = resolution << _SHIFT, 1 << _SHIFT >> 1
    steps = [np.rint(np.clip(ring, -4, 5) * scale - half).astype(np.int32) for ring in unit_rings]
    mask = np.zeros((resolution, resolution), np.uint8)
    cv2.fillPoly(mask, steps, (1,), shift=_SHIFT)
    return mask
