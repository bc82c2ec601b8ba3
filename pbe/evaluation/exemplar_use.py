"""Exemplar use: a model and unseen photos -> by how much it denoises the hole better with the right exemplar.

A model that ignores its exemplar has the same loss with any. So the same samples with the same noise are denoised under
several conditions: with their own exemplar, with another photo's, with that of another photo of the same class, and
unconditionally. Losses count inside the hole only; intervals are bootstrapped over photos, paired by photo.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from pbe.batch import Batch
from pbe.model.diffusion import Losses
from pipeline.rng import rng_for

RIGHT, OTHER, SAME_CLASS, UNCONDITIONAL = CONDITIONS = ("right", "other photo", "same class", "unconditional")
EVALUATED_TIMESTEPS = (250, 500, 750, 950)
RESAMPLES = 5000
_AT_ONCE = 250  # resamples, which bounds the memory
COVERAGE = 0.95

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Model = Callable[[Batch], Losses]


@dataclass(frozen=True)
class Estimate:
    """A number, and the interval that a bootstrap over photos gives it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class ExemplarUse:
    """Losses inside the hole, one sample a photo.

    Args:
        keys: [n] of the samples.
        timesteps: of the noise.
        losses: by condition, [timesteps, n]; NaN where the condition does not exist: no other photo of the class.
    """

    keys: list[str]
    timesteps: tuple[int, ...]
    losses: dict[str, Floats]

    def ratio(self, condition: str, at: int, *, seed: int = 0) -> Estimate:
        """Estimate the loss under a condition / with the right exemplar, over the photos that have both, at step `at`.

        1: the model does not care which exemplar it gets.
        """
        losses, right = self._pairs(condition, at)
        means = _resampled_means(np.stack([losses, right]), seed=seed)
        return _estimate(losses.mean() / right.mean(), means[:, 0] / means[:, 1])

    def gain(self, condition: str, at: int, *, seed: int = 0) -> Estimate:
        """Estimate the loss under a condition - with the right exemplar; above 0: the right exemplar helps."""
        losses, right = self._pairs(condition, at)
        return _estimate((losses - right).mean(), _resampled_means((losses - right)[None], seed=seed)[:, 0])

    def mean(self, condition: str, at: int) -> float:
        """Average the losses under a condition over the photos that have it."""
        return float(np.nanmean(self.losses[condition][self.timesteps.index(at)]))

    def photos(self, condition: str) -> int:
        """Count the photos that a condition exists for."""
        return int(np.isfinite(self.losses[condition][0]).sum())

    def _pairs(self, condition: str, at: int) -> tuple[Floats, Floats]:
        row = self.timesteps.index(at)
        losses, right = self.losses[condition][row], self.losses[RIGHT][row]
        both = np.isfinite(losses) & np.isfinite(right)
        return losses[both], right[both]


@torch.inference_mode()
def measure_exemplar_use(
    model: Model,
    batches: Sequence[Batch],
    *,
    classes: Sequence[str],
    timesteps: tuple[int, ...] = EVALUATED_TIMESTEPS,
    seed: int = 0,
) -> ExemplarUse:
    """Denoise samples under all conditions, each with the noise that its batch holds.

    Args:
        model: as PaintByExample is called, in eval mode.
        batches: one sample a photo, exemplars as features; timesteps and drops are replaced, empty slots passed over.
        classes: [n] of the samples in their order, empty slots left out.
        seed: decides whose exemplar takes the place of whose.

    Raises:
        ValueError: there is a class too many or too few, or not two samples to swap exemplars between.
    """
    full = [batch.weights > 0 for batch in batches]
    keys = [key for batch in batches for key, weight in zip(batch.keys, batch.weights, strict=True) if weight > 0]
    if len(keys) != len(classes) or len(keys) < 2:
        raise ValueError(f"{len(keys)} samples with {len(classes)} classes: each of at least two samples needs one")
    exemplars = torch.cat([batch.exemplars[here] for batch, here in zip(batches, full, strict=True)])
    partners = {
        RIGHT: np.arange(len(keys)),
        OTHER: swap_within(["any"] * len(keys), seed=seed),
        SAME_CLASS: swap_within(classes, seed=seed),
        UNCONDITIONAL: np.arange(len(keys)),
    }
    losses = {condition: np.full((len(timesteps), len(keys)), np.nan) for condition in CONDITIONS}
    done = 0
    for batch, here in zip(batches, full, strict=True):
        rows = slice(done, done + int(here.sum()))
        done = rows.stop
        for condition, partner in partners.items():
            shown = _show(batch, here, exemplars[partner[rows]], drop=condition == UNCONDITIONAL)
            for row, at in enumerate(timesteps):
                inside = model(replace(shown, timesteps=torch.full_like(shown.timesteps, at))).inside
                losses[condition][row, rows] = inside.double().cpu().numpy()
    alone = partners[SAME_CLASS] == np.arange(len(keys))
    losses[SAME_CLASS][:, alone] = np.nan
    return ExemplarUse(keys, timesteps, losses)


def swap_within(classes: Sequence[str], *, seed: int) -> Numbers:
    """Give every sample another sample of its class as a partner, each taken once: [n]; itself where it is alone."""
    partners = np.arange(len(classes))
    for name in sorted(set(classes)):
        members = np.flatnonzero(np.asarray(classes) == name)
        members = rng_for(seed, "swapped exemplars", name).permutation(members)
        partners[members] = np.roll(members, 1)
    return partners


def _show(batch: Batch, here: torch.Tensor, exemplars: torch.Tensor, *, drop: bool) -> Batch:
    """Take the full slots of a batch, and give them these exemplars."""
    full = batch.take(here)
    return replace(full, exemplars=exemplars, drop=torch.full_like(full.drop, drop))


def _resampled_means(values: Floats, *, seed: int) -> Floats:
    """Average k values of n photos over photos drawn with replacement: [k, n] -> [RESAMPLES, k]."""
    n = values.shape[1]
    rng = rng_for(seed, "bootstrap", n)
    chunks = [values[:, rng.integers(n, size=(_AT_ONCE, n))].mean(axis=2) for _ in range(RESAMPLES // _AT_ONCE)]
    return np.concatenate(chunks, axis=1).T


def _estimate(value: float, resampled: Floats) -> Estimate:
    low, high = np.quantile(resampled, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Estimate(float(value), float(low), float(high))
