"""Repeats: the boxes of a partition -> which rows repeat another of their photo."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.planning.hashing import U64, hash_strings, mix
from schemas.boxes import COORDINATE_COLUMNS, LABEL_COLUMN


def first_of_equals(rows: pa.Table, *, photo: NDArray[np.int64], comparable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the rows with the same photo, label and box, the box in float32, as indexes hold it.

    Args:
        rows: [n] BOXES, those of each photo in input order.
        photo: [n] the photo of each row.
        comparable: [n] rows to look at: malformed ones repeat nothing.

    Returns:
        [n] the row itself, or the first of those that it repeats.
    """
    first = np.arange(len(rows))
    places = np.flatnonzero(comparable)
    sides = np.stack([rows[name].to_numpy() for name in COORDINATE_COLUMNS], axis=1)[places].astype(np.float32)
    words = np.ascontiguousarray(sides + np.float32(0)).view(np.uint64)  # two sides in each; -0 becomes 0
    digests = mix(mix(photo[places].astype(np.uint64) ^ mix(words[:, 0])) ^ words[:, 1])

    # Few rows share a photo and a box with another: labels are looked at of these alone.
    shared = _sharing(digests)
    labels = rows[LABEL_COLUMN].combine_chunks().take(pa.array(places[shared]))
    digests = mix(digests[shared] ^ hash_strings(labels, salt=0))
    again = _sharing(digests)
    places, words, digests = places[shared][again], words[shared][again], digests[again]
    labels = labels.take(pa.array(again))

    # Rows of one digest stand together, in input order; each is held against the first of them.
    begins = np.ones(len(digests), bool)
    begins[1:] = digests[1:] != digests[:-1]
    head = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    same = pc.equal(labels, labels.take(pa.array(head))).to_numpy(zero_copy_only=False)
    same = same & (words == words[head]).all(axis=1) & (photo[places] == photo[places[head]])
    first[places[same]] = places[head[same]]
    return first


def _sharing(digests: U64) -> NDArray[np.int64]:
    """Find the positions of digests that are there more than once, sorted by digest, then by position."""
    ordered = np.sort(digests)  # several times as fast as argsort, and mostly all there is to do
    shared = np.flatnonzero(np.isin(digests, ordered[1:][ordered[1:] == ordered[:-1]]))
    return shared[np.argsort(digests[shared], kind="stable")]
