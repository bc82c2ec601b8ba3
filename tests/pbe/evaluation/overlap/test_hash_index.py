"""The index finds what comparing every hash with every other one finds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.overlap.hash_index import MOST_BITS, HashIndex
from pipeline.rng import rng_for


@settings(max_examples=25)
@given(seed=st.integers(0, 1 << 30), count=st.integers(0, 60), radius=st.integers(0, MOST_BITS))
def test_it_finds_all_hashes_within_the_radius_and_no_others(seed: int, count: int, radius: int) -> None:
    rng = rng_for(seed, "hashes")
    hashes = rng.integers(0, 1 << 63, count, np.uint64)
    queries = rng.integers(0, 1 << 63, 5, np.uint64)
    near = np.repeat(hashes[: count // 2, None], 3, 1)  # copies of some, in which up to 20 bits were changed
    for changed in near.reshape(-1, 1) if count else []:
        for bit in rng.integers(0, 64, rng.integers(0, 20)):
            changed ^= np.uint64(1) << np.uint64(bit)
    queries = np.concatenate([queries, near.ravel(), hashes[:2]])
    bits = np.bitwise_count(queries[:, None] ^ hashes[None])
    expected = [(q, h, int(bits[q, h])) for q, h in zip(*np.nonzero(bits <= radius), strict=True)]
    assert list(zip(*HashIndex(hashes).near(queries, radius), strict=True)) == expected
