"""Exemplar use: a model and unseen photos -> by how much it denoises the hole better with the right exemplar.

A model that ignores its exemplar has the same loss with any. So the same samples with the same noise are denoised under
several conditions: with their own exemplar, with another photo's, with that of another photo of the same class, and
unconditionally. Losses count inside the hole only; intervals are bootstrapped over photos, paired by photo.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
import torch
from numpy.typing import NDArray

from pbe.batch import Batch
from pbe.model.diffusion import Losses
from pipeline.rng import rng_for

RIGHT, OTHER, SAME_CLASS, UNCONDITIONAL = CONDITIONS = ("right", "other photo", "same class", "unconditional")
EVALUATED_TIMESTEPS = (250, 500, 750, 950)
RESAMPLES = 5000
_AT_ONCE = 250  # resamples in one array: bounds the memory
COVERAGE = 0.95

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Model = Callable[[Batch], Losses]


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval, by a bootstrap over photos."""

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

        1: the model ignores the exemplar.
        """
        losses, right = self._pairs(condition, at)
        means = _resampled_means(np.stack([losses, right]), seed=seed)
        return _estimate(losses.mean() / right.mean(), means[:, 0] / means[:, 1])

    def gain(self, condition: str, at: int, *, seed: int = 0) -> Estimate:
        """Estimate the loss under a condition - with the right exemplar; above 0: the right exemplar helps."""
        losses, right = self._pairs(condition, at)
        return _estimate((losses - right).mean(), _resampled_means((losses - right)[None], seed=seed)[:, 0])

    def mean(self, condition: str, at: int) -> float:
        """Return the mean loss under a condition over the photos that have it, at step `at`."""
        return float(np.nanmean(self.losses[condition][self.timesteps.index(at)]))

    def photos(self, condition: str) -> int:
        """Return the number of photos that have a condition."""
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
        batches: one sample a photo, exemplars as features; timesteps and drops are replaced, empty slots left out.
        classes: [n] of the samples in their order, empty slots left out.
        seed: of the swaps.

    Raises:
        ValueError: samples and classes differ in number, there are fewer than two samples, or a loss is not finite.
    """
    keys = [key for batch in batches for key in _filled(batch).keys]
    if len(keys) != len(classes) or len(keys) < 2:
        raise ValueError(f"{len(keys)} samples with {len(classes)} classes: each of at least two samples needs one")

    # A condition is a permutation of the exemplars: which sample's exemplar each sample gets.
    exemplars = torch.cat([_filled(batch).exemplars for batch in batches])
    partners = {
        RIGHT: np.arange(len(keys)),
        OTHER: swap_within(["any"] * len(keys), seed=seed),
        SAME_CLASS: swap_within(classes, seed=seed),
        UNCONDITIONAL: np.arange(len(keys)),
    }

    # All conditions of a sample share its noise, so that their losses can be compared photo by photo.
    losses = {condition: np.full((len(timesteps), len(keys)), np.nan) for condition in CONDITIONS}
    first = 0
    for batch in map(_filled, batches):
        samples = slice(first, first + len(batch.keys))
        first = samples.stop
        for condition, partner in partners.items():
            drop = torch.full_like(batch.drop, condition == UNCONDITIONAL)
            shown = replace(batch, exemplars=exemplars[partner[samples]], drop=drop)
            for row, at in enumerate(timesteps):
                found = model(replace(shown, timesteps=torch.full_like(shown.timesteps, at)))
                odd = [
                    key for key, loss in zip(batch.keys, found.per_sample.tolist(), strict=True) if not isfinite(loss)
                ]
                if odd:
                    raise ValueError(f"{condition} at timestep {at}: not finite is the loss of {', '.join(odd)}")
                losses[condition][row, samples] = found.inside.double().cpu().numpy()

    # A sample that is alone in its class was its own partner, which is no swap.
    alone = partners[SAME_CLASS] == np.arange(len(keys))
    losses[SAME_CLASS][:, alone] = np.nan
    return ExemplarUse(keys, timesteps, losses)


def swap_within(classes: Sequence[str], *, seed: int) -> Numbers:
    """Pair every sample with another of its class, each taken once: [n] positions; a sample alone gets its own."""
    partners = np.arange(len(classes))
    for name in sorted(set(classes)):
        members = np.flatnonzero(np.asarray(classes) == name)
        members = rng_for(seed, "swapped exemplars", name).permutation(members)
        partners[members] = np.roll(members, 1)
    return partners


def _filled(batch: Batch) -> Batch:
    """Leave out the empty slots, whose samples were missing."""
    return batch.take(batch.weights > 0)


def _resampled_means(values: Floats, *, seed: int) -> Floats:
    """Average k values of n photos over photos drawn with replacement: [k, n] -> [RESAMPLES, k]."""
    n = values.shape[1]
    rng = rng_for(seed, "bootstrap", n)
    chunks = [values[:, rng.integers(n, size=(_AT_ONCE, n))].mean(axis=2) for _ in range(RESAMPLES // _AT_ONCE)]
    return np.concatenate(chunks, axis=1).T


def _estimate(value: float, resampled: Floats) -> Estimate:
    low, high = np.quantile(resampled, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Estimate(float(value), float(low), float(high))
