"""Profiles: pixels and the colour profile of their file <-> pixels in sRGB.

A matrix profile of RGB (Adobe RGB, Display P3, ProPhoto) is a space that pictures may stay in: both ways exist. CMYK,
grey and look-up tables go to sRGB once and for all. A profile that is damaged, or does not fit its pixels, says
nothing, as in viewers.
"""

import functools
import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from pipeline.arrays import Pixels

MAX_PROFILE_BYTES = 4 << 20
STRIP_PIXELS = 1 << 20  # converted at a time
NEAR = 1  # of 255: how far from sRGB its own profiles by other makers are
_PROBE_LEVELS = 18
_KEPT = 64  # profiles whose ways are remembered


def own_space(profile: bytes | None, mode: str) -> bytes:
    """Give the profile as the space in which a picture of that mode may stay; empty: sRGB."""
    if not profile or mode not in ("RGB", "L") or one_way(profile, mode) or is_srgb(profile):
        return b""
    return profile if _transform(profile, "RGB") else b""


def one_way(profile: bytes | None, mode: str) -> Any:
    """Give the transform that takes an image of mode L, RGB or CMYK to sRGB for good; None: there is none to apply."""
    if not profile:
        return None
    if mode == "CMYK" or (mode == "L" and profile[16:20] == b"GRAY"):
        return _transform(profile, mode)
    forth = _transform(profile, "RGB") if mode in ("RGB", "L") else None
    return forth if forth and (_is_table(profile) or _back(profile) is None) else None


@functools.lru_cache(_KEPT)
def is_srgb(profile: bytes) -> bool:
    """Whether numbers mean by this profile what they mean in sRGB."""
    forth = _transform(profile, "RGB")
    if forth is None:
        return False
    levels = np.linspace(0, 255, _PROBE_LEVELS).round().astype(np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(_PROBE_LEVELS, -1, 3)
    shown = np.asarray(ImageCms.applyTransform(Image.fromarray(probe), forth))
    return bool(np.abs(shown.astype(int) - probe).max() <= NEAR)


def to_srgb(pixels: Pixels, space: bytes) -> Pixels:
    """Bring pixels [h, w, 3] from a space that `own_space` gave to sRGB."""
    return _convert(pixels, _transform(space, "RGB")) if space else pixels


def from_srgb(pixels: Pixels, space: bytes) -> Pixels:
    """Bring pixels [h, w, 3] from sRGB to a space that `own_space` gave."""
    return _convert(pixels, _back(space)) if space else pixels


def _convert(pixels: Pixels, transform: Any) -> Pixels:
    rows = max(1, STRIP_PIXELS // max(1, pixels.shape[1]))
    converted = np.empty_like(pixels)
    for top in range(0, len(pixels), rows):
        strip = Image.fromarray(np.ascontiguousarray(pixels[top : top + rows]))
        converted[top : top + rows] = np.asarray(ImageCms.applyTransform(strip, transform))
    return converted


def _is_table(profile: bytes) -> bool:
    """Whether a profile is a look-up table, without which its pixels make no sense (XYB, say)."""
    return b"A2B0" in profile[128:4096]


@functools.lru_cache(_KEPT)
def _transform(profile: bytes, mode: str) -> Any:
    """Make the way from a profile to sRGB; None where it does not fit its pixels."""
    if len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        return ImageCms.buildTransform(_opened(profile), ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None


@functools.lru_cache(_KEPT)
def _back(profile: bytes) -> Any:
    """Make the way from sRGB to a profile; None where there is none."""
    try:
        return ImageCms.buildTransform(ImageCms.createProfile("sRGB"), _opened(profile), "RGB", "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None


def _opened(profile: bytes) -> Any:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))
