"""Colour profiles of our own making, and pictures in them."""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image, ImageCms

PROPHOTO = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0001), (0.0313, 0.0001, 0.8249))  # XYZ of red, green, blue in D50
WHITE = (0.9642, 1.0, 0.8249)
SRGB = ImageCms.createProfile("sRGB")


def _fixed(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    body, table, place = b"", struct.pack(">I", len(tags)), 132 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + b"\0" * (-len(content) % 4)
        table += name + struct.pack(">2I", place + len(body), len(content))
        body += padded
    header = struct.pack(">I4xI4s4s4s12x4s", place + len(body), 0x02100000, b"mntr", space, b"XYZ ", b"acsp")
    white = struct.pack(">3i", *(round(value * 65536) for value in WHITE))
    return header.ljust(68, b"\0") + white.ljust(60, b"\0") + table + body


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def wide(gamma: float = 1.8) -> bytes:
    """Make a matrix profile with ProPhoto's primaries."""
    colours = {name: _fixed(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), PROPHOTO, strict=True)}
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(gamma))
    return _profile(b"RGB ", {b"wtpt": _fixed(WHITE), **colours, **curves})


def grey(gamma: float = 1.0) -> bytes:
    """Make a profile of grey."""
    return _profile(b"GRAY", {b"wtpt": _fixed(WHITE), b"kTRC": _gamma(gamma)})


def as_shown(image: Image.Image, profile: bytes | None) -> Any:
    """Convert an image to what a viewer with colour management shows: [h, w, 3]."""
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    image = image if image.mode in ("L", "CMYK") and profile and profile[16:20] != b"RGB " else image.convert("RGB")
    if profile:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        image = ImageCms.profileToProfile(image, opened, SRGB, outputMode="RGB") or image
    return np.asarray(image.convert("RGB"))
