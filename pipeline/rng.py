"""Randomness: (seed, stage, key) -> a generator, the same on any machine."""

import hashlib

import numpy as np


def seed_for(seed: int, stage: str, *key: str | int) -> int:
    """Hash (seed, stage, key) to 128 bits with BLAKE2b."""
    text = "\x1f".join([str(seed), stage, *(f"{type(part).__name__}:{part}" for part in key)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def rng_for(seed: int, stage: str, *key: str | int) -> np.random.Generator:
    """Make the generator of one decision: nothing else in the project draws random numbers."""
    return np.random.Generator(np.random.PCG64(seed_for(seed, stage, *key)))
