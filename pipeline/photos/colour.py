"""Colour: an opened image of any mode -> [h, w, 3] uint8 RGB.

CMYK goes through its own profile, alpha lies on white (on black in masks), 16 bits become 8. All of this happens strip
by strip, so that a large photo is held once as its file has it and once as RGB, never as several intermediate copies.
"""

import functools
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

STRIP_PIXELS = 1 << 20
MAX_PROFILE_BYTES = 4 << 20
_ALPHA_MODES = ("P", "PA", "LA", "RGBA", "RGBa", "La")


def is_table(profile: bytes | None) -> bool:
    """Whether a colour profile is a look-up table, without which its pixels make no sense (XYB, say).

    Matrix profiles (Adobe RGB, Display P3) are read as sRGB, as the paper and CLIP's own preprocessing do.
    """
    return profile is not None and b"A2B0" in profile[128:4096]


def to_rgb(image: Image.Image, profile: bytes | None, *, backdrop: str = "white") -> NDArray[np.uint8]:
    """Turn a loaded image into [h, w, 3] uint8 RGB, writable.

    Args:
        profile: its colour profile.
        backdrop: the colour that shows where the image is transparent.
    """
    width, height = image.size
    deep = image.mode.startswith(("I", "F"))
    top_value = _top_value(image) if deep else 0.0  # of all the photo: strips must not be scaled each by its own
    pixels = np.empty((height, width, 3), np.uint8)
    for row, strip in _strips(image):
        shallow = _to_8_bit(strip, top_value) if deep else strip
        pixels[row : row + strip.height] = np.asarray(_strip_to_rgb(shallow, profile, backdrop))
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Cut an image into strips of full rows, with the row at which each begins."""
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width)
    if rows >= height:
        yield 0, image
        return
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def _top_value(image: Image.Image) -> float:
    """Find which value is white: integers above 255 have 16 bits, floats up to 1 are shares."""
    largest = np.max([np.asarray(strip).max(initial=0) for _, strip in _strips(image)])
    if image.mode.startswith("I") and largest > 255:
        return 65535.0
    return 1.0 if image.mode == "F" and largest <= 1 else 255.0


def _to_8_bit(image: Image.Image, top_value: float) -> Image.Image:
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    return Image.fromarray(np.clip(np.rint(values / top_value * 255), 0, 255).astype(np.uint8))


def _strip_to_rgb(image: Image.Image, profile: bytes | None, backdrop: str) -> Image.Image:
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, backdrop), rgba).convert("RGB")
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab_transform()) or image.convert("RGB")
    if profile is not None and (image.mode == "CMYK" or (image.mode == "RGB" and is_table(profile))):
        transform = _transform(profile, image.mode)
        if transform is not None:
            return ImageCms.applyTransform(image, transform) or image
    return image.convert("RGB")


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> Any:
    """Give the way from a profile to sRGB; None where it does not fit its pixels, and is ignored as viewers do."""
    if len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None


@functools.cache
def _lab_transform() -> Any:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
