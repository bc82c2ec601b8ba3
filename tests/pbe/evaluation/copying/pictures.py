"""Pictures of the copy-paste tests: textures, sample photos and holes."""

import cv2
import numpy as np
from skimage import data

from pipeline.arrays import Hole, PixelBox, Pixels
from pipeline.rng import rng_for


def texture(key: str, height: int, width: int) -> Pixels:
    """Draw blobs of several sizes, another picture for each key."""
    rng = rng_for(0, "texture", key)
    grains = (rng.random((max(height // grain, 2), max(width // grain, 2), 3)) for grain in (4, 9, 20))
    layers = [cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC) for each in grains]
    return (np.clip(sum(layers) / 3, 0, 1) * 255).astype(np.uint8)


def hole(height: int, width: int, box: PixelBox) -> Hole:
    mask = np.zeros((height, width), np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def sample_photos() -> dict[str, Pixels]:
    """The colour photos of scikit-image that show one thing each."""
    return {name: getattr(data, name)() for name in ("astronaut", "coffee", "chelsea", "rocket")}
