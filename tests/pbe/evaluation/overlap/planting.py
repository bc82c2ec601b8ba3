"""Planting: a photo -> copies of it, changed as copies in the wild are; and pictures made in code that differ."""

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from pipeline.arrays import Pixels
from pipeline.rng import rng_for

Change = Callable[[Pixels, np.random.Generator], Pixels]


def crop(pixels: Pixels, rng: np.random.Generator, *, share: float = 0.8) -> Pixels:
    """Cut out a share of both sides, anywhere."""
    height, width = pixels.shape[:2]
    rows, columns = round(share * height), round(share * width)
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    return pixels[top : top + rows, left : left + columns]


def square(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut out the largest square, anywhere, at 512 px, as benches hold them."""
    side = min(pixels.shape[:2])
    top, left = (rng.integers(size - side + 1) for size in pixels.shape[:2])
    return resize(pixels[top : top + side, left : left + side], 512, 512)


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    method = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method))


def shift_colours(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Change gain and offset of each channel a little."""
    gains, offsets = rng.uniform(0.88, 1.12, 3), rng.uniform(-12, 12, 3)
    return np.clip(pixels * gains + offsets, 0, 255).astype(np.uint8)


def all_at_once(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Crop, mirror or not, turn, shrink and shift the colours."""
    part = shift_colours(np.rot90(crop(pixels, rng), rng.integers(4)), rng)
    part = part[:, ::-1] if rng.integers(2) else part
    height, width = part.shape[:2]
    return resize(np.ascontiguousarray(part), round(0.6 * width), round(0.6 * height))


# Name -> the change, and the quality of the JPEG.
CHANGES: dict[str, tuple[Change, int]] = {
    "recompressed, quality 30": (lambda pixels, rng: pixels, 30),
    "halved": (lambda pixels, rng: resize(pixels, pixels.shape[1] // 2, pixels.shape[0] // 2), 85),
    "colours shifted": (shift_colours, 85),
    "mirrored": (lambda pixels, rng: pixels[:, ::-1], 85),
    "turned by 90": (lambda pixels, rng: np.rot90(pixels), 85),
    "turned by 180": (lambda pixels, rng: np.rot90(pixels, 2), 85),
    "turned by 270": (lambda pixels, rng: np.rot90(pixels, 3), 85),
    "cropped to 95 % of each side": (lambda pixels, rng: crop(pixels, rng, share=0.95), 85),
    "cropped to 80 % of each side": (crop, 85),
    "the largest square, at 512 px": (square, 85),
    "squashed to 512 x 512 px": (lambda pixels, rng: resize(pixels, 512, 512), 85),
    "cropped to 80 %, mirrored, turned, shrunk, colours shifted": (all_at_once, 60),
}


def plant(pixels: Pixels, change: str, *key: str | int) -> bytes:
    """Change a photo and encode it as JPEG; its randomness follows from the key."""
    changed, quality = CHANGES[change]
    return encode(changed(pixels, rng_for(0, "plant", change, *key)), quality=quality)


def encode(pixels: Pixels, *, quality: int = 90) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(content, "JPEG", quality=quality)
    return content.getvalue()


def made_photo(*key: int, width: int = 360, height: int = 240) -> Pixels:
    """Blobs of all sizes in random colours: as unlike another one, and as rich in corners, as photos are."""
    rng = rng_for(0, "made photo", *key)
    total = np.zeros((height, width, 3))
    for side in (3, 6, 12, 48):
        layer = cv2.resize(rng.standard_normal((side, side, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
        total += layer / side**0.7
    for _ in range(60):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        size = rng.integers(4, 40, 2)
        cv2.rectangle(total, (x, y), (x + int(size[0]), y + int(size[1])), rng.standard_normal(3).tolist(), -1)
    return np.clip(128 + 70 * total, 0, 255).astype(np.uint8)
