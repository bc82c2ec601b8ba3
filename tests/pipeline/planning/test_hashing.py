import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.planning.hashing import hash_strings, mix, uniform

MASK = 2**64 - 1


def mix_one(value: int) -> int:
    z = (value + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def hash_one(text: str, salt: int) -> int:
    data = text.encode()
    value = mix_one(salt & MASK)
    for start in range(0, len(data), 8):
        value = mix_one(value ^ int.from_bytes(data[start : start + 8], "little"))
    return mix_one(value ^ len(data))


@given(st.lists(st.text(max_size=70)), st.integers(0, 2**128))
def test_a_column_hashes_as_its_strings_do_one_by_one(strings: list[str], salt: int) -> None:
    assert hash_strings(pa.array(strings, pa.string()), salt).tolist() == [hash_one(s, salt) for s in strings]


@given(st.lists(st.text(max_size=20), min_size=4))
def test_a_slice_hashes_as_the_whole(strings: list[str]) -> None:
    column = pa.array(strings, pa.string())
    assert hash_strings(column.slice(1, 2), 7).tolist() == hash_strings(column, 7)[1:3].tolist()


def test_null_counts_as_empty() -> None:
    assert np.unique(hash_strings(pa.array([None, ""], pa.string()), 1)).size == 1


def test_hashes_do_not_change_between_releases() -> None:
    assert hash_strings(pa.array(["000ab31e6be35fed"]), 0).tolist() == [hash_one("000ab31e6be35fed", 0)]
    assert mix(np.array([0], np.uint64))[0] == 0xE220A8397B1DCDAF  # the first output of SplitMix64 seeded with 0


def test_hashes_spread_evenly_over_the_unit_interval() -> None:
    shares = uniform(hash_strings(pa.array([f"{i:016x}" for i in range(100_000)]), 3))
    assert np.abs(np.histogram(shares, 20, (0, 1))[0] / 5000 - 1).max() < 0.06
