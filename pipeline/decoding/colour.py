"""Colour: an opened image of any mode -> its planes: RGB in its own space or sRGB, alpha -> [h, w, 3] uint8 sRGB.

CMYK, grey and look-up tables go through their profile to sRGB, matrix profiles of RGB are the space of the planes, 16
bits become 8. All of this happens strip by strip, so that a large photo is held once as its file has it and once as
RGB, never as several intermediate copies.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pipeline.arrays import Pixels
from pipeline.decoding.depth import is_deep, to_8_bit, white_of_mask, white_of_picture
from pipeline.decoding.profiles import STRIP_PIXELS, one_way, own_space, to_srgb

Alpha = NDArray[np.uint8]  # [h, w], 255 = opaque
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")


@dataclass(frozen=True)
class Planes:
    """A picture with all that its colours are made of.

    Args:
        pixels: [h, w, 3] uint8 RGB, also where nothing shows.
        alpha: None: the picture has none.
        space: the colour profile that says what RGB means here; empty: sRGB. See `pipeline.decoding.profiles`.
    """

    pixels: Pixels
    alpha: Alpha | None = None
    space: bytes = b""

    def turned(self, turn: Callable[[Any], Any]) -> "Planes":
        """Turn it by one of `orientation.TURN_PIXELS`."""
        alpha = None if self.alpha is None else np.ascontiguousarray(turn(self.alpha[..., None])[..., 0])
        return Planes(np.ascontiguousarray(turn(self.pixels)), alpha, self.space)


def kind_of(mode: str) -> str:
    """Name the mode of the values that the profile of an image of that mode describes: L, RGB, CMYK; LAB needs none."""
    return "L" if mode.split(";")[0] in _GREY_MODES else mode if mode in ("CMYK", "LAB") else "RGB"


def split(image: Image.Image, profile: bytes | None) -> Planes:
    """Split a loaded picture into its planes.

    Raises:
        PhotoError: `too_dark` or `not_finite`, of more than 8 bits.
    """
    kind, transform = kind_of(image.mode), one_way(profile, kind_of(image.mode))
    white = white_of_picture(_values(image), image.mode) if is_deep(image) else 0.0
    pixels, alpha = _stack(image, white, lambda strip: _to_rgb(strip, kind, transform))
    return Planes(pixels, alpha, own_space(profile, kind))


def split_mask(image: Image.Image) -> Planes:
    """Split a loaded mask: its numbers count, whatever they look like by a profile; none above 0 becomes 0.

    Raises:
        PhotoError: `not_finite`.
    """
    white = white_of_mask(_values(image), image.mode) if is_deep(image) else 0.0
    return Planes(*_stack(image, white, lambda strip: _to_rgb(strip, "", None), least=1))


def on_backdrop(planes: Planes, backdrop: str = "white") -> Pixels:
    """Lay a picture on a colour: [h, w, 3] uint8 sRGB, the picture's own pixels where it has no alpha and is sRGB."""
    pixels = planes.pixels
    if planes.alpha is not None:
        pixels = np.empty_like(planes.pixels)
        for rows in _rows(*planes.alpha.shape):
            rgba = Image.fromarray(np.dstack([planes.pixels[rows], planes.alpha[rows]]))
            laid = Image.alpha_composite(Image.new("RGBA", rgba.size, backdrop), rgba)
            pixels[rows] = np.asarray(laid)[..., :3]
    return to_srgb(pixels, planes.space)


def _stack(
    image: Image.Image, white: float, to_rgb: Callable[[Image.Image], Image.Image], *, least: int = 0
) -> tuple[Pixels, Alpha | None]:
    """Bring an image to RGB and alpha, strip by strip.

    Args:
        white: of values of more than 8 bits; 0: these are of 8.
        least: what values above 0 become at least.
    """
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if image.has_transparency_data and not white else None
    for rows in _rows(height, width):
        strip = image.crop((0, rows.start, width, min(rows.stop, height)))
        if white:  # of all the picture: strips must not be scaled each by its own
            values = np.asarray(strip)
            strip = Image.fromarray(np.maximum(to_8_bit(values, white), np.uint8(least) * (values > 0)))
        if alpha is not None:
            alpha[rows] = np.asarray(strip.convert("RGBA").getchannel("A"))
        pixels[rows] = np.asarray(to_rgb(strip))
    return pixels, alpha


def _to_rgb(image: Image.Image, kind: str, transform: Any) -> Image.Image:
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab_transform()) or image.convert("RGB")
    if image.has_transparency_data:  # Pillow has no way from each of these modes to RGB without alpha
        image = image.convert("RGBA")
    image = image.convert("RGB") if transform is None else image.convert(kind)
    return image if transform is None else ImageCms.applyTransform(image, transform) or image


def _values(image: Image.Image) -> Iterator[NDArray[Any]]:
    width, height = image.size
    for rows in _rows(height, width):
        yield np.asarray(image.crop((0, rows.start, width, min(rows.stop, height))))


def _rows(height: int, width: int) -> Iterator[slice]:
    """Cut a picture into strips of full rows."""
    step = max(1, STRIP_PIXELS // width)
    return (slice(top, top + step) for top in range(0, height, step))


@functools.cache
def _lab_transform() -> Any:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
