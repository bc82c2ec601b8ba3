"""Thumbnails: pixels -> small WebP pictures, as data URIs to stand in a page."""

import base64

import cv2

from pipeline.arrays import Pixels


def webp_uri(pixels: Pixels, *, width: int, quality: int) -> str:
    """Shrink a picture to a width at most, and encode it.

    Args:
        pixels: [h, w, 3] uint8 RGB.
        quality: 1 to 100.
    """
    height = max(1, round(len(pixels) * width / pixels.shape[1]))
    if pixels.shape[1] > width:
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return _uri("webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, quality])


def png_uri(pixels: Pixels) -> str:
    """Encode a small picture [h, w, 3] uint8 RGB without loss."""
    return _uri("png", pixels, [])


def _uri(kind: str, pixels: Pixels, options: list[int]) -> str:
    done, encoded = cv2.imencode(f".{kind}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    assert done
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}"
