"""Thumbnails: pixels -> small WebP pictures, as data URIs to stand in a page, and masks -> their outlines."""

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.arrays import Hole, Pixels

QUALITY = 60
FINER = 4  # steps of a mask's outline in a px of the shown source


@dataclass(frozen=True)
class ShownPicture:
    """A picture as data URI, in px as shown; `problem` says why there is none."""

    uri: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""


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


def show_picture(pixels: Pixels, width: int, *, quality: int = QUALITY) -> ShownPicture:
    """Shrink a picture [h, w, 3] uint8 RGB to a width at most."""
    shown = min(width, pixels.shape[1])
    height = max(1, round(pixels.shape[0] * shown / pixels.shape[1]))
    return ShownPicture(webp_uri(pixels, width=width, quality=quality), shown, height)


def mask_outline(mask: Hole, width: int, height: int) -> str:
    """Trace a mask's pieces and holes as an SVG path, in px of a picture of that size.

    Args:
        mask: [h, w] bool, True = repaint.
    """
    size = (width * FINER, height * FINER)
    fine = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(fine, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    rings = [cv2.approxPolyDP(contour, 1, True)[:, 0] for contour in contours]
    return "".join(f"M{' '.join(f'{value / FINER:g}' for value in ring.ravel().tolist())}Z" for ring in rings)


def png_uri(pixels: Pixels) -> str:
    """Encode a small picture [h, w, 3] uint8 RGB without loss."""
    return _uri("png", pixels, [])


def _uri(kind: str, pixels: Pixels, options: list[int]) -> str:
    done, encoded = cv2.imencode(f".{kind}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    assert done
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}"
