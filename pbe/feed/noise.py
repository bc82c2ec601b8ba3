"""Noise: a sample's ordinal -> its noise, timestep and guidance drop."""

import numpy as np
import torch

from pbe.batch import TIMESTEPS, Batch
from pbe.feed.order import Numbers
from pbe.feed.sample_reader import Content
from pipeline.rng import rng_for


def draw_randomness(content: Content, ordinals: Numbers, *, seed: int, split: str, drop_share: float) -> Batch:
    """Draw noise, timestep and guidance drop of each sample, by (seed, ordinal) alone, and make the batch whole."""
    count, c, h, w = content.latents.shape
    noise = np.empty((count, c, h, w), np.float32)
    timesteps, drop = np.empty(count, np.int64), np.empty(count, np.bool_)
    for slot, ordinal in enumerate(ordinals.tolist()):
        rng_for(seed, "noise", split, ordinal).standard_normal(dtype=np.float32, out=noise[slot])
        rng = rng_for(seed, "timestep", split, ordinal)
        timesteps[slot], drop[slot] = rng.integers(TIMESTEPS), rng.random() < drop_share
    return Batch(
        content.keys,
        torch.from_numpy(ordinals),
        content.latents,
        content.masked_latents,
        content.masks,
        content.exemplars,
        torch.from_numpy(noise),
        torch.from_numpy(timesteps),
        torch.from_numpy(drop),
        content.weights,
        content.masked_sources,
    )
