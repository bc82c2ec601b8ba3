"""Resize: a photo or a part of it -> [size, size, 3], antialiased."""

import cv2
import numpy as np
import torch

from pipeline.arrays import PixelBox, Pixels


def resize(pixels: Pixels, size: int) -> Pixels:
    """Resize to [size, size, 3] uint8, bilinear with antialias."""
    height, width = pixels.shape[:2]
    if height <= size and width <= size:
        return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
    # torch's uint8 kernel is the fastest antialiased one here, and twice as fast when it may write channels-last
    # pixels, which torch.nn.functional.interpolate does not let it do.
    resized = np.empty((size, size, 3), np.uint8)
    _RESIZE(_planes(np.ascontiguousarray(pixels)), [size, size], False, None, None, out=_planes(resized))
    return resized


_RESIZE = torch.ops.aten._upsample_bilinear2d_aa.out


def _planes(pixels: Pixels) -> torch.Tensor:
    """View [h, w, 3] as [1, 3, h, w]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def cut(photo: Pixels, box: PixelBox, size: int) -> Pixels:
    """Cut a pixel box out of a photo and resize it to [size, size, 3]."""
    left, top, right, bottom = box
    return resize(photo[top:bottom, left:right], size)
