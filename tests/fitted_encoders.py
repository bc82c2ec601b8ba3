"""A small codec and exemplar encoder in the form that pipeline.fit_encoders writes, in a moment and without photos."""

from pathlib import Path

import cv2
import numpy as np
import torch

from pipeline.arrays import Pixels
from pipeline.encoders.efficientnet import TOKEN_WIDTH
from pipeline.encoders.efficientnet_pca import GROUPS
from pipeline.fitting.features import AffineMap
from pipeline.fitting.patches import PatchMoments
from pipeline.fitting.writing import write_codec, write_exemplar_encoder

CHANNELS, FACTOR, DIMENSION = 12, 4, 8


def smooth_pictures(count: int, *, side: int = 64, seed: int = 0) -> list[Pixels]:
    """Pictures [side, side, 3] with colours that change slowly, and some noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 6, 6, 3)).astype(np.uint8)
    grown = [cv2.resize(each, (side, side), interpolation=cv2.INTER_CUBIC) for each in coarse]
    return [np.clip(each + rng.normal(0, 6, each.shape), 0, 255).astype(np.uint8) for each in grown]


def write_fitted_codec(folder: Path, *, channels: int = CHANNELS, seed: int = 0) -> Path:
    """Write FOLDER/vae; returns the folder."""
    moments = PatchMoments(FACTOR)
    moments.add(smooth_pictures(20, seed=seed))
    write_codec(folder / "vae", moments.components(channels), side=FACTOR, fitted_on={})
    return folder


def write_fitted_exemplar_encoder(folder: Path, *, dimension: int = DIMENSION, seed: int = 0) -> Path:
    """Write FOLDER/image_encoder, of random directions; returns the folder. Needs the extra `demo`."""
    generator = torch.Generator().manual_seed(seed)
    whole, places = (
        AffineMap(torch.randn(dimension, width, generator=generator) / width**0.5, torch.zeros(dimension), 1.0)
        for width in (sum(GROUPS), TOKEN_WIDTH)
    )
    write_exemplar_encoder(folder / "image_encoder", whole, places, fitted_on={})
    return folder
