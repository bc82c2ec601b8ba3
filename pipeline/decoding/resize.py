"""Resize: a photo or a part of it -> [size, size, 3], antialiased."""

from typing import Any

import cv2
import numpy as np

from pipeline.arrays import PixelBox, Pixels


def resize(pixels: Pixels, size: int) -> Pixels:
    """Resize to [size, size, 3] uint8, bilinear with antialias."""
    height, width = pixels.shape[:2]
    if height <= size and width <= size:
        return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
    import torch  # here, since reading photos does without it

    # torch's uint8 kernel is the fastest antialiased one here, and twice as fast when it may write channels-last
    # pixels, which torch.nn.functional.interpolate does not let it do.
    resized = np.empty((size, size, 3), np.uint8)
    planes, resized_planes = (
        torch.from_numpy(array).permute(2, 0, 1)[None]  # [h, w, 3] seen as [1, 3, h, w]
        for array in (np.ascontiguousarray(pixels), resized)
    )
    upsample: Any = torch.ops.aten._upsample_bilinear2d_aa.out
    upsample(planes, [size, size], False, None, None, out=resized_planes)
    return resized


def cut(photo: Pixels, box: PixelBox, size: int) -> Pixels:
    """Cut a pixel box out of a photo and resize it to [size, size, 3]."""
    left, top, right, bottom = box
    return resize(photo[top:bottom, left:right], size)
