"""Transforms: the four steps of an exemplar's augmentation, as albumentations runs them.

Importing albumentations takes seconds: only what augments imports this module, when it does.
"""

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Pixels
from schemas.samples import EXEMPLAR_PX

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the package index for a newer one
import albumentations as A

AFFINE_PX = 50.0  # how far each of the three points moves, of 224


def make_transforms() -> tuple[Any, ...]:
    """Make flip, rotation, blur and affine, in this order, with the paper's shares of exemplars that each changes."""
    return (
        A.HorizontalFlip(p=0.5),
        A.Rotate(limit=20, p=0.5, border_mode=cv2.BORDER_REFLECT_101),
        A.Blur(blur_limit=(3, 7), p=0.3),
        _ThreePointAffine(p=0.3),
    )


class _ThreePointAffine(A.ImageOnlyTransform):  # type: ignore[misc]
    """The affine through three points, each moved by up to AFFINE_PX: the visible part of the paper's elastic step."""

    def get_params(self) -> dict[str, Any]:
        return {"moved": self.random_generator.uniform(-AFFINE_PX, AFFINE_PX, (3, 2)).astype(np.float32)}

    def apply(self, img: Pixels, moved: NDArray[np.float32], **_: Any) -> Pixels:
        middle, third = EXEMPLAR_PX // 2, EXEMPLAR_PX // 3
        points = np.array(
            [(middle + third, middle + third), (middle + third, middle - third), (middle - third, middle - third)],
            np.float32,
        )
        matrix = cv2.getAffineTransform(points, points + moved)
        size = (EXEMPLAR_PX, EXEMPLAR_PX)
        return cv2.warpAffine(img, matrix, size, borderMode=cv2.BORDER_REFLECT_101)  # type: ignore[return-value]
