"""Exemplar column: exemplar JPEGs of samples -> pictures of a batch, for the encoder that runs live."""

from collections.abc import Callable

import numpy as np
import torch

from pbe.feed.columns import StoredSample
from pipeline.arrays import Pixels
from pipeline.draws.exemplars import augment_with
from pipeline.encoders.pixels import unit_pixels
from pipeline.rng import rng_for
from schemas.samples import EXEMPLAR_EXT, EXEMPLAR_PX

Augment = Callable[[Pixels, int], Pixels]
"""Stored exemplar and the sample's ordinal -> the exemplar to show."""


class ExemplarColumn:
    """Fills `exemplars` [b, 3, 224, 224] with pictures."""

    def __init__(self, count: int, *, augment: Augment) -> None:
        self._augment = augment
        self._pixels = np.zeros((count, EXEMPLAR_PX, EXEMPLAR_PX, 3), np.uint8)

    def fill(self, slot: int, sample: StoredSample) -> None:
        """See Column."""
        stored = sample.picture(EXEMPLAR_EXT, side=EXEMPLAR_PX)
        self._pixels[slot] = self._augment(stored, sample.ordinal)

    def clear(self, slot: int) -> None:
        """See Column."""
        self._pixels[slot] = 0

    def tensors(self) -> dict[str, torch.Tensor]:
        """See Column."""
        return {"exemplars": unit_pixels(self._pixels)}


def as_stored(pixels: Pixels, _: int) -> Pixels:
    """Show an exemplar as it is stored."""
    return pixels


def augment_afresh(pixels: Pixels, ordinal: int, *, seed: int, split: str) -> Pixels:
    """Augment an exemplar anew each time it is shown, since the ordinal of every showing is another."""
    return augment_with(pixels, rng_for(seed, "live augmentation", split, ordinal))[0]
