"""Validation: a run -> its losses on the validation split, comparable over time, as means and sample by sample.

Draws, noise and timesteps are the same every time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from pbe.feed.fixed_batches import fixed_batches, fixed_feed
from pbe.training.observations import Observations, name_odd, observe, say_odd
from pbe.training.run import Run, ValidationSamples
from pbe.training.run_folder import Row
from schemas.validation import VALIDATION


@dataclass(frozen=True)
class Validation:
    """The losses of one validation, on the same samples in the same order.

    Args:
        raw: of the weights.
        ema: of their moving average; None: none is kept.
    """

    raw: Observations
    ema: Observations | None

    @property
    def means(self) -> Row:
        """The mean losses, for the row of the step."""
        row: Row = {"validation_loss": self.raw.mean("loss")}
        return row | ({"validation_loss_ema": self.ema.mean("loss")} if self.ema else {})

    def table(self, keys: Sequence[str]) -> pa.Table:
        """Make the rows of VALIDATION, one a sample; they depend on the losses alone, not on the number of ranks.

        Args:
            keys: of the samples, by ordinal; slots of the last batch beyond them are left out.
        """
        taken = self.raw.column("ordinal") < len(keys)
        ordinals, timesteps, holes, weights = (
            self.raw.column(name)[taken] for name in ("ordinal", "timestep", "hole", "weight")
        )
        columns = [
            pa.array([keys[ordinal] for ordinal in ordinals.astype(np.int64)]),
            pa.array(ordinals.astype(np.int64)),
            pa.array(timesteps.astype(np.int32)),
            pa.array(holes.astype(np.float32), mask=weights == 0),
            pa.array(weights == 0),
            *_losses(self.raw, taken),
            *(_losses(self.ema, taken) if self.ema else [pa.nulls(len(ordinals), pa.float32())] * 3),
        ]
        return pa.Table.from_arrays(columns, schema=VALIDATION)


def validate(run: Run, samples: ValidationSamples) -> Validation:
    """Compute the losses, of the weights and of their moving average; all ranks must take part."""
    raw = _look(run, samples)
    if run.average is None:
        return Validation(raw, None)
    with run.average.in_model():
        return Validation(raw, _look(run, samples))


@torch.no_grad()
def _look(run: Run, samples: ValidationSamples) -> Observations:
    """Compute the losses of the weights that are in the model; the first rank shows a bar."""
    engine, ranks, count = run.engine, run.ranks, len(samples.keys)
    batch_size = len(run.feed.slots[0]) * ranks.world
    fixed = fixed_feed(run.feed.config, split="validation", bottleneck=engine.config.bottleneck, batch_size=batch_size)
    place = {"rank": ranks.rank, "world": ranks.world}
    rows: list[NDArray[np.float64]] = []
    odd: list[str] = []
    engine.deepspeed.eval()
    off: dict[str, Any] = {} if ranks.first else {"disable": True}  # false, said in words, would overrule TQDM_DISABLE
    with tqdm(total=count, desc="validation", unit="sample", leave=False, **off) as bar:
        for batch in fixed_batches(fixed, dataset=samples.dataset, **place, limit=run.config.eval_samples):
            batch = run.prepare(batch)
            rows.append(observe(batch, engine.losses(batch)))
            odd += name_odd(batch, rows[-1])
            bar.update(min(batch_size, count - bar.n))
    engine.deepspeed.train()
    seen = Observations(ranks.gather_rows(np.concatenate(rows)))
    if not seen.finite:
        ranks.say(f"validation at step {run.counts.step}: {say_odd(ranks.gather_all(odd))}")
    return seen


def _losses(seen: Observations, taken: NDArray[np.bool_]) -> list[pa.Array]:
    """Make the columns of the loss in all, inside and outside the hole: null where there is no such number."""
    missing, hole = seen.column("weight")[taken] == 0, seen.column("hole")[taken]
    absent = {"loss": missing, "inside": missing | (hole == 0), "outside": missing | (hole == 1)}
    return [pa.array(seen.column(name)[taken].astype(np.float32), mask=mask) for name, mask in absent.items()]
