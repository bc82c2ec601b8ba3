"""Exemplars: a box in a photo -> a stored crop -> its augmentation, replayable from the stored JPEG.

Exemplars are [224, 224, 3] uint8 RGB.
"""

import random
import threading
from typing import Any, TypedDict

import numpy as np

from pipeline.arrays import PixelBox, Pixels
from pipeline.decoding.jpeg import encode_jpeg
from pipeline.decoding.resize import cut
from pipeline.draws.jitter import Jitter, jitter_pixels
from pipeline.rng import rng_for
from schemas.samples import EXEMPLAR_PX

PAD_PX = 10


class Augmentation(TypedDict):
    """What an augmentation did, as the index records it; see schemas.samples.AUGMENTATION."""

    flip: bool
    rotate_degrees: float | None
    blur_px: int | None
    affine_px: list[float] | None


# Transforms keep the parameters of their last call, so that each thread has its own.
_threads = threading.local()


def _transforms() -> tuple[Any, ...]:
    if not hasattr(_threads, "transforms"):
        from pipeline.draws.transforms import make_transforms  # which takes seconds

        _threads.transforms = make_transforms()
    transforms: tuple[Any, ...] = _threads.transforms
    return transforms


def exemplar_box(inner: PixelBox, width: int, height: int) -> PixelBox:
    """Pad a pixel box by 10 px on each side, inside the photo."""
    left, top, right, bottom = inner
    return max(left - PAD_PX, 0), max(top - PAD_PX, 0), min(right + PAD_PX, width), min(bottom + PAD_PX, height)


def crop_exemplar(photo: Pixels, box: PixelBox, *, jitter: Jitter | None = None) -> bytes:
    """Cut the exemplar out of the photo, squash it to 224 x 224, jitter it, and encode it as JPEG."""
    return encode_jpeg(jitter_pixels(cut(photo, box, EXEMPLAR_PX), jitter))


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


def describe_augmentation(augmentation: Augmentation) -> str:
    """Name the steps of an augmentation: `flip, +12°, blur 5, affine`."""
    steps = [
        "flip" if augmentation["flip"] else "",
        f"{round(augmentation['rotate_degrees']):+d}°" if augmentation["rotate_degrees"] is not None else "",
        f"blur {augmentation['blur_px']}" if augmentation["blur_px"] else "",
        "affine" if augmentation["affine_px"] else "",
    ]
    return ", ".join(step for step in steps if step) or "unchanged"
