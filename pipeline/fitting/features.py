"""Features: squares -> the principal components of what EfficientNet-Lite0 sees in them.

One thread of torch, in float64 where sums grow long: equal squares in an equal order give equal bits.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch

from pipeline.arrays import Pixels
from pipeline.encoders.efficientnet import TOKEN_WIDTH
from pipeline.encoders.efficientnet_pca import GROUPS, features_of
from pipeline.encoders.pixels import unit_pixels
from pipeline.errors import InputError

BATCH = 16  # squares that the network sees at once
_DEAD = 1e-10  # variance of a number that says nothing
_LEAST_VARIANCE = 1e-6  # of a component, of one for each group: what is less may be rounding, and is not whitened


@dataclass(frozen=True)
class AffineMap:
    """Whitened principal components as x -> weight x + bias.

    Args:
        weight: [k, d] float64.
        bias: [k] float64.
        share: of the variance that the k components have.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    share: float


class FeatureMoments:
    """First and second moments of vectors [n, d]."""

    def __init__(self, width: int) -> None:
        self._sum = torch.zeros(width, dtype=torch.float64)
        self._products = torch.zeros(width, width, dtype=torch.float64)
        self.count = 0

    def add(self, vectors: torch.Tensor) -> None:
        """Add vectors [n, d]."""
        wide = vectors.double()
        self._sum += wide.sum(dim=0)
        self._products += wide.T @ wide
        self.count += len(wide)

    def components(self, count: int, groups: Sequence[int]) -> AffineMap:
        """Find the first whitened principal components.

        Numbers are first brought to unit variance, and groups of them to an equal share of the variance: 32 channel
        means would not matter beside 1,280 others.

        Args:
            groups: lengths of the groups, in order; their sum is d.

        Raises:
            InputError: fewer pictures, or components, than that.
        """
        mean = self._sum / self.count
        covariance = self._products / self.count - torch.outer(mean, mean)
        scale = torch.cat([torch.full((size,), size**-0.5, dtype=torch.float64) for size in groups])
        scale /= covariance.diagonal().clamp(_DEAD).sqrt()
        variances, vectors = torch.linalg.eigh(covariance * torch.outer(scale, scale))  # ascending
        variances, rows = variances.flip(0), vectors.T.flip(0)
        if count > min(len(variances), self.count - 1) or not variances[count - 1] >= _LEAST_VARIANCE:  # as NaN is not
            raise InputError(
                f"--dimension {count}: {self.count} pictures have no so many components; give a smaller number, or "
                "photos of more kinds"
            )
        rows = rows[:count]
        rows = rows * rows.gather(1, rows.abs().argmax(dim=1, keepdim=True)).sign()  # one sign of two
        weight = rows * scale / variances[:count, None].sqrt()
        return AffineMap(weight, -(weight @ mean), float(variances[:count].sum() / variances.clamp(0).sum()))


def fit_features(network: Any, squares: Iterable[Pixels], dimension: int) -> tuple[AffineMap, AffineMap]:
    """Fit the maps of whole pictures, and of each of their 49 places.

    Args:
        network: from `load_efficientnet`.
        squares: [224, 224, 3] uint8 RGB.
        dimension: numbers that both give.

    Raises:
        InputError: there are too few squares.
    """
    whole, places = FeatureMoments(sum(GROUPS)), FeatureMoments(TOKEN_WIDTH)
    for pictures in _batches(squares):
        features = features_of(network, pictures)
        whole.add(features.whole)
        places.add(features.places.flatten(0, 1))
    return whole.components(dimension, GROUPS), places.components(dimension, [TOKEN_WIDTH])


def _batches(squares: Iterable[Pixels]) -> Iterator[torch.Tensor]:
    rest = iter(squares)
    while some := list(islice(rest, BATCH)):
        yield unit_pixels(np.stack(some))
