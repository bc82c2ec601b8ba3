"""Mask columns: polygons or boxes of samples -> masks of a batch, and the sources with these masks blanked."""

import numpy as np
import torch

from pbe.feed.columns import StoredSample
from pbe.feed.dataset import Dataset
from pipeline.draws.masks import rectangle
from pipeline.draws.raster import raster_mask, reduce_mask
from pipeline.encoders.pixels import blank_signed, signed
from schemas.samples import SOURCE_EXT


class DrawnMasks:
    """Fills `masks` [b, 1, h, w] with the stored polygons."""

    def __init__(self, count: int, *, dataset: Dataset) -> None:
        self._dataset = dataset
        self._masks = np.zeros((count, 1, *dataset.latent_shape[1:]), np.float32)

    def fill(self, slot: int, sample: StoredSample) -> None:
        """See Column."""
        raster = raster_mask(sample.index.polygon(sample.row), self._dataset.resolution)
        self._masks[slot, 0] = reduce_mask(raster, self._dataset.factor)

    def clear(self, slot: int) -> None:
        """See Column."""
        self._masks[slot] = 0

    def tensors(self) -> dict[str, torch.Tensor]:
        """See Column."""
        return {"masks": torch.from_numpy(self._masks)}


class BoxMasks:
    """Fills `masks` [b, 1, h, w] with the boxes, and `masked_sources` [b, 3, resolution, resolution] to fit them.

    The stored masked latents belong to the drawn masks, so that the VAE has to encode these sources instead.
    """

    def __init__(self, count: int, *, dataset: Dataset) -> None:
        self._dataset = dataset
        side = dataset.resolution
        self._sources = np.zeros((count, side, side, 3), np.uint8)
        self._rasters = np.zeros((count, side, side), np.uint8)
        self._masks = np.zeros((count, 1, *dataset.latent_shape[1:]), np.float32)

    def fill(self, slot: int, sample: StoredSample) -> None:
        """See Column."""
        self._sources[slot] = sample.picture(SOURCE_EXT, side=self._dataset.resolution)
        # A box may reach beyond the crop; the mask ends there.
        x0, y0, x1, y1 = sample.index.boxes[sample.row].tolist()
        corners = np.clip(rectangle((x0, y0, x1, y1)), 0, 1).astype(np.float32)
        self._rasters[slot] = raster_mask(corners, self._dataset.resolution)
        self._masks[slot, 0] = reduce_mask(self._rasters[slot], self._dataset.factor)

    def clear(self, slot: int) -> None:
        """See Column."""
        for array in (self._sources, self._rasters, self._masks):
            array[slot] = 0

    def tensors(self) -> dict[str, torch.Tensor]:
        """See Column."""
        masked = blank_signed(signed(self._sources), self._rasters)
        return {"masks": torch.from_numpy(self._masks), "masked_sources": masked}
