"""Validation: the validation split with fixed draws, noise and timesteps -> losses that can be compared over time."""

from collections.abc import Callable

import numpy as np
import torch

from pbe.batch import Batch
from pbe.feed.config import FeedConfig
from pbe.feed.fixed_batches import fixed_batches, fixed_feed
from pbe.training.engine import Engine
from pbe.training.observations import Observations, observe
from pbe.training.ranks import Ranks


def validate(
    engine: Engine, feed: FeedConfig, prepare: Callable[[Batch], Batch], ranks: Ranks, *, micro_batch: int, samples: int
) -> float:
    """Compute the mean loss; all ranks must take part.

    Args:
        feed: of the training.
        micro_batch: samples a rank computes at once.
        samples: to take. 0: all.
    """
    fixed = fixed_feed(
        feed, split="validation", bottleneck=engine.config.bottleneck, batch_size=micro_batch * ranks.world
    )
    rows = []
    engine.deepspeed.eval()
    with torch.no_grad():
        for batch in fixed_batches(fixed, rank=ranks.rank, world=ranks.world, limit=samples):
            rows.append(observe(batch, engine.losses(prepare(batch))))
    engine.deepspeed.train()
    return Observations(ranks.gather_rows(np.concatenate(rows))).mean("loss")
