"""Jitter: a sample's key -> another hue, saturation, brightness, side and scale, of source and exemplar together.

What is stored of a sample, and what is told in shares of its crop, is jittered: source, latents, exemplar, mask polygon
and box in the crop. What is told of the photo (crop, boxes) is of the photo as it is.
"""

from collections.abc import Mapping
from typing import Any, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Pixels, Sides
from pipeline.rng import rng_for

SATURATION, BRIGHTNESS = 1.5, 1.25  # the largest factors of the odds, and 1 / the smallest
LEAST_SCALE = 0.4

Points = TypeVar("Points", NDArray[np.float32], NDArray[np.float64])


class Jitter(TypedDict):
    """How a sample was jittered, as the index records it; see schemas.samples.JITTER."""

    flip: bool
    hue_degrees: float
    saturation: float
    brightness: float
    scale: float


def draw_jitter(share: float, *, seed: int, image_id: str, draw: int) -> Jitter | None:
    """Draw how a sample is jittered, or None: it is not. All numbers are those that a float32 holds.

    Args:
        share: of the samples that are jittered, 0..1.
        seed, image_id, draw: the dataset's seed and the sample's.
    """
    rng = rng_for(seed, "jitter", image_id, draw)
    if rng.random() >= share:
        return None
    flip, hue, saturation, brightness, scale = rng.random(5).tolist()
    return Jitter(
        flip=flip < 0.5,
        hue_degrees=_float32(360 * hue - 180),
        saturation=_float32(SATURATION ** (2 * saturation - 1)),
        brightness=_float32(BRIGHTNESS ** (2 * brightness - 1)),
        scale=_float32(LEAST_SCALE + (1 - LEAST_SCALE) * scale),
    )


def jitter_of(row: Mapping[str, Any]) -> Jitter | None:
    """Read the jitter of an index row: None where it is not jittered, or the dataset has no such column."""
    jitter: Jitter | None = row.get("jitter")
    return jitter


def jitter_pixels(pixels: Pixels, jitter: Jitter | None) -> Pixels:
    """Flip a picture, and shift its colours: that of a source and that of its exemplar stay the same.

    Args:
        pixels: [h, w, 3] uint8 RGB.
    """
    if jitter is None:
        return pixels
    shown = np.ascontiguousarray(pixels[:, ::-1]) if jitter["flip"] else pixels
    return shift_colours(
        shown, hue_degrees=jitter["hue_degrees"], saturation=jitter["saturation"], brightness=jitter["brightness"]
    )


def shift_colours(pixels: Pixels, *, hue_degrees: float, saturation: float, brightness: float) -> Pixels:
    """Turn the hue of a picture, and multiply the odds of its saturation s and value v: s / (1 - s), v / (1 - v).

    So nothing is clipped: 0 and 1 stay, and all between stays between. The inverse is the shift by -hue_degrees,
    1 / saturation and 1 / brightness. In float32, since eight bits of hue would show as bands.

    Args:
        pixels: [h, w, 3] uint8 RGB.
    """
    import cv2  # here, since who verifies a jitter looks at no picture

    hsv: NDArray[np.float32] = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)  # type: ignore[assignment]
    hsv[..., 0] = (hsv[..., 0] + np.float32(hue_degrees)) % 360
    for channel, factor in ((1, saturation), (2, brightness)):
        share = hsv[..., channel]
        hsv[..., channel] = factor * share / (1 + (factor - 1) * share)
    shifted: Pixels = np.rint(255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)).astype(np.uint8)
    return shifted


def mirror_points(points: Points, jitter: Jitter | None) -> Points:
    """Flip x y pairs with their picture: [n, 2], shares of it."""
    if jitter is None or not jitter["flip"]:
        return points
    mirrored: Points = points.copy()
    mirrored[:, 0] = 1 - mirrored[:, 0]
    return mirrored


def mirror_box(box: Sides, jitter: Jitter | None) -> Sides:
    """Flip a box with its picture: shares of it."""
    left, top, right, bottom = box
    return (1 - right, top, 1 - left, bottom) if jitter is not None and jitter["flip"] else box


def name_jitter(jitter: Jitter) -> str:
    """Name what of a jitter is seen at once: `hue +40°, flip`."""
    return f"hue {round(jitter['hue_degrees']):+d}°" + (", flip" if jitter["flip"] else "")


def describe_jitter(jitter: Jitter | None) -> str:
    """Name what a jitter did: `hue +40°, saturation x 1.21, brightness x 0.93, flip, scale 0.71`; empty: nothing."""
    if jitter is None:
        return ""
    steps = [
        f"hue {round(jitter['hue_degrees']):+d}°",
        f"saturation x {jitter['saturation']:.2f}",
        f"brightness x {jitter['brightness']:.2f}",
        "flip" if jitter["flip"] else "",
        f"scale {jitter['scale']:.2f}",
    ]
    return ", ".join(step for step in steps if step)


def _float32(value: float) -> float:
    return float(np.float32(value))
