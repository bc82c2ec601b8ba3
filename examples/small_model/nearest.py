"""Nearest: pictures and the dataset of a training -> of each, the exemplar of the training that is most like it.

A picture of a small model is soft, and sharpness alone would make it unlike any photo. So all pictures are reduced to
the same few pixels before they are compared; what is told apart is colour, coarse texture and layout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pbe.editing.canvas import cut_mask, hole_box
from pbe.evaluation.bench.split_rows import read_split
from pbe.evaluation.metrics.encoders.protocol import FeatureEncoder, Features
from pipeline.arrays import Hole, Pixels
from pipeline.decoding.jpeg import decode_jpeg
from pipeline.decoding.resize import cut, resize
from pipeline.draws.crops import Crop
from pipeline.errors import InputError
from pipeline.shards.samples import read_index
from pipeline.storage.urls import absolute
from schemas.samples import EXEMPLAR_EXT
from schemas.shards import index_path, shard_path

COARSE_PX = 32  # a side; holes of a 64 px model have 11 to 45
AT_ONCE = 256


@dataclass(frozen=True)
class Nearest:
    """The exemplar of a training that is most like a picture.

    Args:
        key: of its sample.
        similarity: cosine of features, -1..1.
        picture: [COARSE_PX, COARSE_PX, 3] uint8.
    """

    key: str
    similarity: float
    picture: Pixels


def reduce_picture(picture: Pixels) -> Pixels:
    """Squash a picture to the pixels that are compared."""
    return resize(picture, COARSE_PX)


def reduce_hole(picture: Pixels, mask: Hole, crop: Crop, resolution: int) -> Pixels:
    """Cut the hole's rectangle out of a picture as a model of that resolution sees it, and reduce it.

    Args:
        picture: [h, w, 3] uint8: a source or an edit of it.
        mask: [h, w] bool, not empty; `crop` is the part that the model saw.
    """
    left, top, right, bottom = hole_box(cut_mask(mask, crop, resolution) > 0)
    return reduce_picture(cut(picture, crop.box, resolution)[top:bottom, left:right])


def find_nearest(data: str, pictures: Sequence[Pixels], encoder: FeatureEncoder) -> list[Nearest]:
    """Compare reduced pictures with every exemplar of a dataset's train split.

    Raises:
        InputError: the dataset is not finished, has no such split, a shard is damaged, or features are not finite.
    """
    own = normalise(encoder.encode(list(pictures)))
    found = [Nearest("", -np.inf, picture) for picture in pictures]
    for keys, exemplars in exemplars_of(data):
        similarities = own @ normalise(encoder.encode(exemplars)).T  # [pictures, exemplars]
        for number, best in enumerate(similarities.argmax(axis=1)):
            if similarities[number, best] > found[number].similarity:
                found[number] = Nearest(keys[best], float(similarities[number, best]), exemplars[best])
    if not all(nearest.key for nearest in found):
        raise InputError(f"{data}: {encoder.name} gave features that are not finite")
    return found


def exemplars_of(data: str) -> Iterator[tuple[list[str], list[Pixels]]]:
    """Read the stored exemplars of all draws of the train split, reduced, AT_ONCE at a time, with their keys.

    Raises:
        InputError: see `find_nearest`.
    """
    split = read_split(absolute(data), "train")
    keys: list[str] = []
    exemplars: list[Pixels] = []
    for shard in split.shards:
        place = (shard["split"], shard["unit"], shard["draw"])
        content = split.folder.read(shard_path(*place))
        for row in read_index(split.folder, index_path(*place)).to_pylist():
            places = {member["ext"]: (member["offset"], member["size"]) for member in row["members"]}
            try:
                first, size = places[EXEMPLAR_EXT]
                pixels = decode_jpeg(content[first : first + size])
            except (KeyError, ValueError) as error:
                raise InputError(f"{data}: the exemplar of {row['key']} is damaged ({error}); make it again") from error
            keys.append(row["key"])
            exemplars.append(reduce_picture(pixels))
            if len(keys) == AT_ONCE:
                yield keys, exemplars
                keys, exemplars = [], []
    if keys:
        yield keys, exemplars


def normalise(features: Features) -> NDArray[np.float64]:
    """Bring features [n, d] to length 1."""
    wide = features.astype(np.float64)
    lengths: NDArray[np.float64] = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.maximum(lengths, 1e-12)
