"""Rows: a drawn sample -> its row in the index."""

from collections.abc import Iterable

import numpy as np

from pipeline.decoding.decode import Photo
from pipeline.draws.draw import DrawnSample
from pipeline.draws.jitter import mirror_box
from pipeline.photos.fingerprints import perceptual_hash, photo_sha256
from pipeline.planning.tasks import UnitTask
from pipeline.shards.samples import Row
from pipeline.units.drawn_photos import DrawnPhoto
from schemas.samples import sample_key


def photo_facts(data: bytes, photo: Photo) -> Row:
    """What the index says of a photo.

    Args:
        data: its stored bytes.
    """
    height, width = photo.pixels.shape[:2]
    return {
        "photo_width": width,
        "photo_height": height,
        "orientation": photo.orientation,
        "photo_sha256": photo_sha256(data),
        "photo_phash": perceptual_hash(photo.pixels),
    }


def sample_row(drawn: DrawnPhoto, sample: DrawnSample, *, task: UnitTask, draw: int, label_name: str) -> Row:
    """Make a sample's row, as schemas.samples.SAMPLE, without its place in the shard."""
    box, chosen = drawn.photo.box_of(draw), sample.draw
    width, height = drawn.facts["photo_width"], drawn.facts["photo_height"]
    left, top, right, bottom = chosen.crop.box
    x0, y0, x1, y1 = chosen.box_px
    crop_width, crop_height = right - left, bottom - top
    in_crop = (
        (x0 - left) / crop_width,
        (y0 - top) / crop_height,
        (x1 - left) / crop_width,
        (y1 - top) / crop_height,
    )
    extended = np.array(chosen.extended_px) / np.array([width, height, width, height])
    image_id = drawn.photo.image_id
    affine = sample.augmentation["affine_px"]
    degrees = sample.augmentation["rotate_degrees"]
    return {
        "key": sample_key(image_id, box["box_id"], draw),
        "image_id": image_id,
        "box_id": box["box_id"],
        "label": box["label"],
        "label_name": label_name,
        "split": task.split,
        "unit": task.unit,
        "draw": draw,
        "box_source": _float32(sample.box_source),
        "box": _float32(chosen.box),
        "crop": list(chosen.crop.box),
        "extended_box": _float32(extended),
        "box_in_crop": _float32(mirror_box(in_crop, chosen.jitter)),
        "exemplar_box": list(chosen.exemplar_px),
        "mask_shape": chosen.mask_shape,
        "mask_polygon": _float32(chosen.mask_polygon.ravel()),
        "fit": chosen.crop.fit,
        "augmentation": {
            **sample.augmentation,
            "rotate_degrees": None if degrees is None else np.float32(degrees),
            "affine_px": None if affine is None else _float32(affine),
        },
        **drawn.facts,
    }


def jitter_row(sample: DrawnSample) -> Row | None:
    """Make the column `jitter` of a sample's row, in a dataset that has it."""
    jitter = sample.draw.jitter
    if jitter is None:
        return None
    numbers = {name: np.float32(value) for name, value in jitter.items() if isinstance(value, float)}
    return {**numbers, "flip": jitter["flip"]}


def _float32(values: Iterable[float]) -> list[np.float32]:
    return list(np.asarray(tuple(values), np.float32))
