"""Patches: squares -> the principal components of their patches. NumPy alone, and exact.

Sums of products of bytes are whole numbers below 2^53, which float64 holds exactly in whatever order they are added.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.arrays import Pixels
from pipeline.errors import InputError

_HALF = 127.5  # of the range of a byte: images are bytes / 127.5 - 1
_LEAST_VARIANCE = 1e-8  # of a component, of images in [-1, 1]
Moments = NDArray[np.float64]


@dataclass(frozen=True)
class PatchComponents:
    """Whitened principal components of patches of images in [-1, 1].

    Args:
        mean: [3], of the channels; patches are centred by it.
        directions: [k, 3, side, side], orthonormal, the largest variance first.
        deviations: [k], square roots of the variances along them.
        psnr: dB by which the patches of the fit come back from k components, before clipping and rounding.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    deviations: NDArray[np.float64]
    psnr: float


class PatchMoments:
    """First and second moments of the patches of many squares.

    Args:
        side: of a patch, px.
    """

    def __init__(self, side: int) -> None:
        self._side, numbers = side, 3 * side**2
        self._sum: Moments = np.zeros(numbers)
        self._products: Moments = np.zeros((numbers, numbers))
        self.patches = 0

    def add(self, squares: Iterable[Pixels]) -> None:
        """Add squares [s, s, 3] uint8, s a multiple of the patch's side."""
        for square in squares:
            patches = cut_patches(square, self._side).astype(np.float64)
            self._sum += patches.sum(axis=0)
            self._products += patches.T @ patches
            self.patches += len(patches)

    def components(self, count: int) -> PatchComponents:
        """Find the first principal components: eigenvectors of the covariance around the channels' means.

        Raises:
            InputError: the photos have fewer than that.
        """
        side, n = self._side, self.patches
        channel = self._sum.reshape(3, -1).mean(axis=1) / n
        mean = channel.repeat(side**2)
        mixed = np.outer(self._sum, mean)
        covariance = (self._products - mixed - mixed.T) / n + np.outer(mean, mean)
        with threadpool_limits(1, user_api="blas"):  # of large patches, another number gives other last bits
            variances, vectors = np.linalg.eigh(covariance / _HALF**2)  # ascending
        variances, rows = variances[::-1], vectors.T[::-1]
        if variances[count - 1] < _LEAST_VARIANCE:
            raise InputError(f"--channels {count}: the photos' patches have no so many components; give fewer, or more")
        rows = rows[:count] * np.sign(rows[np.arange(count), np.abs(rows[:count]).argmax(axis=1)])[:, None]
        lost = variances[count:].clip(0).sum() / len(variances) + _LEAST_VARIANCE  # squared, a number of a patch
        directions = rows.reshape(count, 3, side, side)
        return PatchComponents(channel / _HALF - 1, directions, np.sqrt(variances[:count]), 10 * np.log10(4 / lost))


def cut_patches(square: Pixels, side: int) -> NDArray[np.uint8]:
    """Cut a square [s, s, 3] into patches [n, 3 * side * side], each channel by channel, row by row."""
    cells = square.shape[0] // side
    apart = square.reshape(cells, side, cells, side, 3).transpose(0, 2, 4, 1, 3)
    return apart.reshape(cells**2, 3 * side**2)
