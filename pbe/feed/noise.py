"""Noise: a sample's ordinal -> its noise, timestep and guidance drop."""

import numpy as np
import torch

from pbe.batch import TIMESTEPS, Batch
from pbe.feed.order import Numbers
from pbe.feed.sample_reader import Content
from pipeline.rng import rng_for


def draw_randomness(content: Content, ordinals: Numbers, *, seed: int, split: str, drop_share: float) -> Batch:
    """Complete a batch by each sample's noise, timestep and guidance drop, drawn by (seed, split, ordinal) alone."""
    count, c, h, w = content.latents.shape
    noise = np.empty((count, c, h, w), np.float32)
    timesteps, drop = np.empty(count, np.int64), np.empty(count, np.bool_)
    # Noise has a generator of its own, and every sample draws both of the others, dropped or not: changing the size of
    # latents or the share of drops changes nothing else.
    for slot, ordinal in enumerate(ordinals.tolist()):
        rng_for(seed, "noise", split, ordinal).standard_normal(dtype=np.float32, out=noise[slot])
        rng = rng_for(seed, "timestep", split, ordinal)
        timesteps[slot], drop[slot] = rng.integers(TIMESTEPS), rng.random() < drop_share
    return Batch(
        keys=content.keys,
        ordinals=torch.from_numpy(ordinals),
        latents=content.latents,
        masked_latents=content.masked_latents,
        masks=content.masks,
        exemplars=content.exemplars,
        noise=torch.from_numpy(noise),
        timesteps=torch.from_numpy(timesteps),
        drop=torch.from_numpy(drop),
        weights=content.weights,
        masked_sources=content.masked_sources,
    )
