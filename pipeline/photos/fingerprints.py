"""Fingerprints: a photo -> hashes of its bytes and of what it looks like."""

import hashlib

import cv2
import numpy as np

from pipeline.arrays import Pixels


def perceptual_hash(pixels: Pixels) -> str:
    """Hash what a photo looks like: the signs of 64 low DCT frequencies of its luminance about their median.

    Args:
        pixels: [h, w, 3] uint8.

    Returns:
        16 hex digits; similar photos differ in few bits.
    """
    small = cv2.cvtColor(cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    return np.packbits(low > np.median(low)).tobytes().hex()


def photo_sha256(data: bytes) -> str:
    """Hash a photo's stored bytes."""
    return hashlib.sha256(data).hexdigest()
