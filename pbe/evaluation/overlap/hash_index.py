"""Hash index: many 64-bit hashes -> those within a few bits of another one.

Multi-index hashing (Norouzi, Punjani, Fleet, CVPR 2012): two hashes that differ in at most 11 bits differ in at most
two in one of four bands of 16 bits. So only hashes that share a band, two bits aside, are compared in full: of n random
ones 4 x 137 / 65,536, one in 120; of those of photos, one in 88 was measured.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pbe.evaluation.overlap.windows import Hashes

BANDS, BAND_BITS = 4, 16
BAND_RADIUS = 2
MOST_BITS = BANDS * (BAND_RADIUS + 1) - 1  # of a radius within which nothing is missed
_VALUES = 1 << BAND_BITS
_PROBES = np.array(
    [
        sum(1 << bit for bit in bits)
        for count in range(BAND_RADIUS + 1)
        for bits in combinations(range(BAND_BITS), count)
    ]
)
Indices = NDArray[np.int64]


class HashIndex:
    """Hashes, ordered by each of their bands. Memory: 4 x (8 + 8) bytes a hash, and 2 MiB."""

    def __init__(self, hashes: Hashes) -> None:
        self._orders: list[Indices] = []
        self._starts: list[Indices] = []
        self._sorted: list[Hashes] = []
        for band in range(BANDS):
            values = _band(hashes, band)
            order = np.argsort(values, kind="stable")
            self._orders.append(order)
            self._sorted.append(hashes[order])
            self._starts.append(np.searchsorted(values[order], np.arange(_VALUES + 1)))

    def near(self, queries: Hashes, radius: int) -> tuple[Indices, Indices, Indices]:
        """Find the hashes within a radius of each of some others: those of one photo, say.

        Memory: of random hashes, 137 x queries x hashes / 65,536 candidates at once.

        Args:
            queries: uint64 [m].
            radius: bits, at most MOST_BITS.

        Returns:
            Places in `queries`, places in the index, and how many bits differ, by query and place.
        """
        assert 0 <= radius <= MOST_BITS
        found = [self._near_by_band(queries, radius, band) for band in range(BANDS)]
        pairs = np.unique(np.concatenate(found, axis=1), axis=1)  # most are found by several bands
        return pairs[0], pairs[1], pairs[2]

    def _near_by_band(self, queries: Hashes, radius: int, band: int) -> Indices:
        """Compare the hashes that share a band, BAND_RADIUS bits aside: int64 [3, found]."""
        keys = _band(queries, band)[:, None] ^ _PROBES
        starts = self._starts[band][keys].ravel()
        counts = self._starts[band][keys + 1].ravel() - starts
        filled = np.flatnonzero(counts)
        starts, counts = starts[filled], counts[filled]
        # Every place from each start on, as many as its count: one after the other, without a loop.
        firsts = np.cumsum(counts) - counts
        places = np.arange(counts.sum()) + np.repeat(starts - firsts, counts)
        query = np.repeat(filled // len(_PROBES), counts)
        bits = np.bitwise_count(self._sorted[band][places] ^ queries[query])
        near = np.flatnonzero(bits <= radius)
        return np.stack([query[near], self._orders[band][places[near]], bits[near].astype(np.int64)])


def _band(hashes: Hashes, band: int) -> Indices:
    return np.asarray((hashes >> np.uint64(BAND_BITS * band)) & np.uint64(_VALUES - 1), np.int64)
