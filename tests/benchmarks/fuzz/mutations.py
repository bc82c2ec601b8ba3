"""Mutations: bytes -> other bytes, as damage on a disk or a line makes them."""

from collections.abc import Callable, Sequence

import numpy as np

Mutation = Callable[[np.random.Generator, bytearray, bytes], None]
"""Changes the data; the other bytes are of another input."""


def mutate(rng: np.random.Generator, mutations: Sequence[Mutation], bases: Sequence[bytes]) -> bytes:
    """Mutate one of the bases, one to three times."""
    data = bytearray(bases[rng.integers(len(bases))])
    for _ in range(rng.integers(1, 4)):
        mutations[rng.integers(len(mutations))](rng, data, bases[rng.integers(len(bases))])
    return bytes(data)


def flip_bits(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    for at in rng.integers(0, max(1, len(data)), rng.integers(1, 30)):
        data[at : at + 1] = bytes(byte ^ (1 << rng.integers(8)) for byte in data[at : at + 1])


def splice(rng: np.random.Generator, data: bytearray, other: bytes) -> None:
    start, size = rng.integers(len(other)), rng.integers(1, 4096)
    at = rng.integers(len(data) + 1)
    data[at : at + rng.integers(0, 2) * size] = other[start : start + size]


def duplicate_block(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    at, size = rng.integers(len(data) + 1), rng.integers(1, 4096)
    data[at:at] = data[at : at + size] * int(rng.integers(1, 20))


def delete_block(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    at = rng.integers(len(data) + 1)
    del data[at : at + rng.integers(1, 4096)]


def truncate(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    del data[rng.integers(len(data) + 1) :]
