"""Observations: the losses of every sample of a global batch -> the numbers of a step, the same for any world size."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pbe.batch import TIMESTEPS, Batch
from pbe.model.diffusion import Losses

BUCKETS = 10
SHOWN = 8  # samples that a message names
COLUMNS = ("ordinal", "key", "weight", "timestep", "loss", "inside", "outside", "objective", "hole")
_KEY_BYTES = 6  # of a key's hash: exact in float64


class Observations:
    """One row a sample, ascending by ordinal, so that sums do not depend on the number of ranks."""

    def __init__(self, rows: NDArray[np.float64]) -> None:
        """Sort the rows, [n, 9], see COLUMNS; `hole` is the share of the latent's cells that is repainted."""
        self.rows = rows[np.argsort(rows[:, 0], kind="stable")]

    def column(self, name: str) -> NDArray[np.float64]:
        """[n] of one column."""
        return self.rows[:, COLUMNS.index(name)]

    @property
    def finite(self) -> bool:
        """Whether every loss that counts is a number, and what is minimised, too."""
        counts = self.column("weight") > 0
        return all(bool(np.isfinite(self.column(name)[counts]).all()) for name in ("loss", "objective"))

    @property
    def missing(self) -> int:
        """How many samples had weight 0."""
        return int((self.column("weight") == 0).sum())

    @property
    def digest(self) -> str:
        """Of the keys and ordinals of the batch."""
        return hashlib.sha256(self.rows[:, :2].astype("<i8").tobytes()).hexdigest()[:16]

    def mean(self, name: str, chosen: NDArray[np.bool_] | None = None) -> float:
        """Average a column over the samples that count and have a value; NaN where there is none."""
        values = self.column(name)
        take = self.column("weight") > 0
        if name in ("inside", "outside"):
            take &= ~np.isnan(values)  # an empty hole has no inside
        if chosen is not None:
            take = take & chosen
        return float(values[take].mean()) if take.any() else math.nan

    def by_timestep(self) -> list[float]:
        """Average the loss over tenths of the timesteps, the least noise first; NaN where there is no sample."""
        bucket = self.column("timestep") * BUCKETS // TIMESTEPS
        return [self.mean("loss", bucket == number) for number in range(BUCKETS)]


def observe(batch: Batch, losses: Losses) -> NDArray[np.float64]:
    """Make the rows of one micro-batch."""
    holes = batch.masks.double().sum(dim=(1, 2, 3))
    errors = (losses.per_sample.detach(), losses.inside, losses.outside, losses.objective.detach())
    parts = (batch.weights, batch.timesteps, *errors, holes)
    numbers = torch.stack([part.double() for part in parts], dim=1).cpu().numpy()
    numbers[:, -1] /= batch.masks[0].numel()  # here, since a GPU would multiply by the reciprocal: 1 must be 1
    names = np.array(
        [[ordinal, _number(key)] for ordinal, key in zip(batch.ordinals.tolist(), batch.keys, strict=True)]
    )
    return np.concatenate([names.astype(np.float64), numbers], axis=1)


def name_odd(batch: Batch, rows: NDArray[np.float64]) -> list[str]:
    """Name the samples of a micro-batch whose loss counts and is not finite, each with what is not: `KEY (latents)`.

    Args:
        batch: as the model took it, what is encoded live included.
        rows: of the batch, by `observe`.
    """
    loss, objective, weight = (rows[:, COLUMNS.index(name)] for name in ("loss", "objective", "weight"))
    taken = {"latents": batch.latents, "masked latents": batch.masked_latents, "exemplar": batch.exemplars}
    names = []
    for slot in np.flatnonzero(~np.isfinite(loss + objective) & (weight > 0)).tolist():
        culprits = [name for name, values in taken.items() if not torch.isfinite(values[slot]).all()]
        names.append(f"{batch.keys[slot]} ({' and '.join(culprits) or 'the model'})")
    return names


def say_odd(names: Sequence[str]) -> str:
    """Say of which samples the loss is not finite, by the names that `name_odd` gives."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"not finite is the loss of {', '.join(names[:SHOWN])}{more}"


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:_KEY_BYTES], "little")
