"""Partners: samples of a split -> for each the sample of another photo that shows an object of the same class."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.pairing.folder import NO_LABEL
from pipeline.rng import seed_for

DECIMALS = 6  # of a logarithm of an aspect ratio: nearer ones are equal


class Partners:
    """Finds partners among the samples of a split.

    Photos are told apart by the perceptual hash that the index holds, so that a photo under two ids, or compressed
    twice, is no other photo.

    Args:
        table: label, box, photo_width, photo_height, photo_phash and key of each sample.
    """

    def __init__(self, table: pa.Table, *, seed: int) -> None:
        self._keys = table["key"]
        self._seed = seed
        self._photos, _ = _codes(table["photo_phash"])
        self._labels, names = _codes(table["label"])
        self._nameless = np.array([name in ("", NO_LABEL) for name in names], bool)
        boxes = np.asarray(table["box"].combine_chunks().flatten(), np.float64).reshape(-1, 4)
        sides = np.column_stack([np.asarray(table[side], np.float64) for side in ("photo_width", "photo_height")])
        width, height = ((boxes[:, 2:] - boxes[:, :2]) * sides).T
        self._aspects = np.round(np.log(width / height), DECIMALS)
        order = np.argsort(self._labels, kind="stable")
        self._pools = np.split(order, np.cumsum(np.bincount(self._labels, minlength=len(names)))[:-1])

    def lacking(self) -> dict[str, NDArray[np.bool_]]:
        """Say which samples have no partner, [n] each, by why."""
        pairs = np.unique(np.column_stack([self._labels, self._photos]), axis=0)
        photos_of = np.bincount(pairs[:, 0], minlength=len(self._pools))
        nameless = self._nameless[self._labels]
        return {
            "they have no class": nameless,
            "no other photo of the split shows their class": ~nameless & (photos_of[self._labels] < 2),
        }

    def find(self, sample: int) -> int:
        """Find the partner of a sample that has one: the nearest in aspect ratio; between equals the seed decides."""
        pool = self._pools[self._labels[sample]]
        others = pool[self._photos[pool] != self._photos[sample]]
        away = np.abs(self._aspects[others] - self._aspects[sample]).round(DECIMALS)
        nearest = others[away == away.min()]
        own = self._keys[sample].as_py()
        return int(min(nearest, key=lambda other: seed_for(self._seed, "partner", own, self._keys[int(other)].as_py())))


def _codes(column: Any) -> tuple[NDArray[np.int64], list[str]]:
    """Number the values of a column: [n], and the values."""
    coded = column.combine_chunks().dictionary_encode()
    return np.asarray(coded.indices, np.int64), coded.dictionary.to_pylist()
