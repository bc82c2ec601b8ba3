"""Views: a picture -> the same picture as seen from several sides, so that CLIP is not pleased by a single one.

The extending augmentations of Blended Diffusion (section 3.3), of its public code's kinds and sizes: a view is turned
by up to 15 degrees and moved by up to a tenth of its side, its edges repeated, with a chance of 0.7; then, with the
same chance, tilted, what lies beyond being grey. Both are one resampling here. The first view is the picture itself.
"""

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

VIEWS = 8
CHANCE = 0.7
TURN_DEGREES, MOVE = 15, 0.1  # of a side
TILT = 0.7  # of the way from a corner to the middle, for each axis

Matrix = NDArray[np.float64]  # [3, 3], coordinates -1..1 of a view, and 1 -> where the picture is looked up
_CORNERS = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)


def make_views(picture: torch.Tensor, side: int, rng: np.random.Generator) -> torch.Tensor:
    """Make a picture's views, with a gradient.

    Args:
        picture: [1, 3, s, s] float32 in about [-1, 1], on the CPU: elsewhere the gradient adds up in no fixed order.
        side: px along a view's side.

    Returns:
        [VIEWS, 3, side, side], likewise; 0 is grey.
    """
    pooled = F.adaptive_avg_pool2d(picture, side)
    places = [_draw(rng) for _ in range(VIEWS - 1)]
    grids = torch.from_numpy(np.stack([_grid(tilt, turn, side) for tilt, turn in places]))
    inside = torch.from_numpy(np.stack([_inside(tilt, side) for tilt, _ in places]))[:, None]
    repeated = pooled.expand(VIEWS - 1, -1, -1, -1)
    looked_up = F.grid_sample(repeated, grids, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.cat([pooled, looked_up * inside])


def _draw(rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """Draw how a view is tilted, and how it was turned and moved before."""
    numbers = rng.random(13)
    turned, tilted = numbers[:2] < CHANCE
    angle = math.radians(TURN_DEGREES) * (2 * numbers[2] - 1)
    x, y = 2 * MOVE * (2 * numbers[3:5] - 1)
    turn = np.array([[math.cos(angle), -math.sin(angle), x], [math.sin(angle), math.cos(angle), y], [0, 0, 1]])
    moved = _CORNERS * (1 - TILT * numbers[5:].reshape(4, 2).astype(np.float32))
    tilt = np.asarray(cv2.getPerspectiveTransform(moved, _CORNERS), np.float64)
    return (tilt if tilted else np.eye(3)), (turn if turned else np.eye(3))


def _inside(tilt: Matrix, side: int) -> NDArray[np.float32]:
    """Tell which pixels of a view show the picture: [side, side], 0 or 1."""
    return np.asarray((np.abs(_moved(tilt, side)) <= 1).all(axis=-1), np.float32)


def _grid(tilt: Matrix, turn: Matrix, side: int) -> NDArray[np.float32]:
    """Say for each pixel of a view where the picture is looked up: [side, side, 2], x and y in -1..1."""
    places: NDArray[np.float32] = np.clip(_moved(turn @ tilt, side), -2, 2).astype(np.float32)
    return places


def _moved(matrix: Matrix, side: int) -> Matrix:
    """Move the middles of a view's pixels: [side, side, 2]."""
    middles = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(middles, middles)
    moved = np.stack([x, y, np.ones_like(x)], axis=-1) @ matrix.T
    depth = moved[..., 2:]
    flat: Matrix = moved[..., :2] / np.where(depth == 0, 1e-12, depth)
    return flat
