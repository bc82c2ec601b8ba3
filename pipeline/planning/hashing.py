"""Hash ids: a column of strings -> 64-bit numbers, a whole column at a time, the same on any machine."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

U64 = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix(values: U64) -> U64:
    """Scramble 64-bit numbers one to one: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    z = values + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def mix_with(values: U64, salt: int) -> U64:
    """Scramble numbers one to one, differently for each salt."""
    return mix(values ^ mix(np.array([salt % 2**64], np.uint64)))


def hash_strings(strings: pa.Array, salt: int) -> U64:
    """Hash each string's bytes, eight at a time, little-endian, then its length; null counts as empty.

    Args:
        strings: [n] utf-8 strings of any length.
        salt: another salt gives unrelated hashes.
    """
    strings = strings.fill_null("").cast(pa.large_string())
    _, offset_buffer, data_buffer = strings.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[strings.offset : strings.offset + len(strings) + 1]
    data = np.zeros((data_buffer.size if data_buffer else 0) + 8, np.uint8)
    if data_buffer:
        data[:-8] = np.frombuffer(data_buffer, np.uint8)
    # words[i] is the eight bytes from byte i on, wherever a string starts; the padding is for the last ones.
    words = np.ndarray((len(data) - 7,), "<u8", buffer=data.data, strides=(1,))
    starts, lengths = offsets[:-1], np.diff(offsets)
    hashes = np.full(len(strings), mix(np.array([salt % 2**64], np.uint64))[0], np.uint64)
    # Each round takes eight more bytes of the strings that have them; what lies beyond a string's end is shifted out.
    rows = np.arange(len(strings))
    for done in range(0, int(lengths.max(initial=0)), 8):
        rows = rows[lengths[rows] > done]
        unused_bits = 8 * np.maximum(0, done + 8 - lengths[rows])
        word = words[starts[rows] + done] << unused_bits.astype(np.uint64) >> unused_bits.astype(np.uint64)
        hashes[rows] = mix(hashes[rows] ^ word)
    return mix(hashes ^ lengths.astype(np.uint64))


def uniform(hashes: U64) -> NDArray[np.float64]:
    """Read the upper 53 bits as numbers in [0, 1)."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
