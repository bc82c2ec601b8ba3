"""Preparation: pictures of any size -> squares of an encoder's own size. Imports no torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pbe.evaluation.metrics.encoders.protocol import Picture
from pipeline.arrays import Pixels

Three = tuple[float, float, float]
BICUBIC = int(Image.Resampling.BICUBIC)
_MOST_ASPECT = 32  # of what is resized: a strip of 1 x 30,000 px would take gigabytes


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes the square that an encoder looks at.

    Args:
        side: of the square, px.
        shorter: px that the shorter side is resized to before the middle is cut out; never less than `side`.
        mean, std: of the channels in 0..1.
        resample: Pillow's number of a filter; all of them antialias.
    """

    side: int
    shorter: int
    mean: Three
    std: Three
    resample: int = BICUBIC

    def square(self, picture: Picture) -> NDArray[np.float32]:
        """[h, w, 3] -> [side, side, 3] float32 in 0..1, as torchvision's Resize, CenterCrop and ToTensor on a Pillow
        picture give it; a square of this size is taken as it is.

        Raises:
            ValueError: a float picture has another size.
        """
        if picture.dtype != np.uint8:
            if picture.shape != (self.side, self.side, 3):
                raise ValueError(f"a float picture is {picture.shape}, not {self.side} px a side")
            return np.asarray(picture, np.float32)
        pixels = picture if picture.shape[:2] == (self.side, self.side) else self._cut(Image.fromarray(picture))
        square: NDArray[np.float32] = pixels.astype(np.float32) / np.float32(255)
        return square

    def _cut(self, image: Image.Image) -> Pixels:
        shortest = min(image.size)
        strip = _middle(image, *(min(length, _MOST_ASPECT * shortest) for length in image.size))
        width, height = (self.shorter * length // shortest for length in strip.size)
        return np.asarray(_middle(strip.resize((width, height), self.resample), self.side, self.side))

    def normalise(self, squares: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, side, side, 3] in 0..1 -> the same, by mean and standard deviation of the channels."""
        centred: NDArray[np.float32] = squares - np.array(self.mean, np.float32)
        normal: NDArray[np.float32] = np.divide(centred, self.std, dtype=np.float32)
        return normal


def _middle(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def squash(picture: Pixels, side: int) -> Pixels:
    """Resize to [side, side, 3] uint8, whatever the aspect: Pillow's bicubic filter, antialiased."""
    if picture.shape[:2] == (side, side):
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
