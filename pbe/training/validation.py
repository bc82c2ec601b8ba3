"""Validation: a run -> its mean loss on the validation split, comparable over time.

Draws, noise and timesteps are the same every time.
"""

import numpy as np
import torch
from tqdm import tqdm

from pbe.feed.fixed_batches import fixed_batches, fixed_feed
from pbe.training.observations import Observations, observe
from pbe.training.run import Run


@torch.no_grad()
def validate(run: Run) -> float:
    """Compute the mean loss; all ranks must take part, and the first one shows a bar."""
    engine, ranks = run.engine, run.ranks
    batch_size = len(run.feed.slots[0]) * ranks.world
    fixed = fixed_feed(run.feed.config, split="validation", bottleneck=engine.config.bottleneck, batch_size=batch_size)
    rows = []
    engine.deepspeed.eval()
    with tqdm(
        total=run.validation_samples, desc="validation", unit="sample", leave=False, disable=not ranks.first
    ) as bar:
        for batch in fixed_batches(fixed, rank=ranks.rank, world=ranks.world, limit=run.config.eval_samples):
            rows.append(observe(batch, engine.losses(run.prepare(batch))))
            bar.update(min(batch_size, run.validation_samples - bar.n))
    engine.deepspeed.train()
    return Observations(ranks.gather_rows(np.concatenate(rows))).mean("loss")
