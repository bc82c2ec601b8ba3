"""Exemplars: a box in a photo -> a stored crop -> its augmentation, replayable from the stored JPEG.

Exemplars are [224, 224, 3] uint8 RGB.
"""

import os
import random
import threading
from typing import Any, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import PixelBox, Pixels
from pipeline.photos.jpeg import encode_jpeg
from pipeline.photos.resize import cut
from pipeline.rng import rng_for
from schemas.samples import EXEMPLAR_PX

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the package index for a newer one
import albumentations as A

PAD_PX = 10
AFFINE_PX = 50.0  # how far each of the three points moves, of 224


class Augmentation(TypedDict):
    """What an augmentation did, as the index tells it; see schemas.samples.AUGMENTATION."""

    flip: bool
    rotate_degrees: float | None
    blur_px: int | None
    affine_px: list[float] | None


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


# Transforms keep the parameters of their last call, so that each thread has its own.
_threads = threading.local()


def _transforms() -> tuple[Any, ...]:
    if not hasattr(_threads, "transforms"):
        _threads.transforms = (
            A.HorizontalFlip(p=0.5),
            A.Rotate(limit=20, p=0.5, border_mode=cv2.BORDER_REFLECT_101),
            A.Blur(blur_limit=(3, 7), p=0.3),
            _ThreePointAffine(p=0.3),
        )
    transforms: tuple[Any, ...] = _threads.transforms
    return transforms


def exemplar_box(inner: PixelBox, width: int, height: int) -> PixelBox:
    """Pad a pixel box by 10 px on each side, inside the photo."""
    left, top, right, bottom = inner
    return max(left - PAD_PX, 0), max(top - PAD_PX, 0), min(right + PAD_PX, width), min(bottom + PAD_PX, height)


def crop_exemplar(photo: Pixels, box: PixelBox) -> bytes:
    """Cut the exemplar out of the photo, squash it to 224 x 224, and encode it as JPEG."""
    return encode_jpeg(cut(photo, box, EXEMPLAR_PX))


def augment_exemplar(exemplar: Pixels, *, seed: int, image_id: str, draw: int) -> tuple[Pixels, Augmentation]:
    """Augment a stored exemplar: flip .5, rotate +-20 degrees .5, blur 3/5/7 px .3, affine .3, in this order.

    A pure function of the decoded stored JPEG and the sample's generator, so that encoder and views see the same.

    Args:
        exemplar: [224, 224, 3], as `decode_jpeg` gives the stored member.
        seed, image_id, draw: the dataset's seed and the sample's.

    Returns:
        The augmented exemplar, [224, 224, 3], and what was done to it.
    """
    return augment_with(exemplar, rng_for(seed, "exemplar", image_id, draw))


def augment_with(exemplar: Pixels, rng: np.random.Generator) -> tuple[Pixels, Augmentation]:
    """Augment a stored exemplar by the numbers of a generator; see augment_exemplar."""
    # One pair of generators for all steps: albumentations' own set_random_seed would give each step the same numbers.
    choices = random.Random(int(rng.integers(2**63)))
    flip, rotate, blur, affine = _transforms()
    augmented = exemplar
    for transform in (flip, rotate, blur, affine):
        transform.set_random_state(rng, choices)
        augmented = transform(image=augmented)["image"]
    matrix = rotate.params.get("matrix")
    applied = Augmentation(
        flip=bool(flip.params),
        rotate_degrees=None if matrix is None else float(np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0]))),
        blur_px=int(blur.params["kernel"]) if blur.params else None,
        affine_px=affine.params["moved"].ravel().tolist() if affine.params else None,
    )
    return augmented, applied
