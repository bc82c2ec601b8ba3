"""Schedule: how many steps to take -> what each of them needs of ADM's noise schedule. Imports no torch."""

import math
from dataclasses import dataclass

import numpy as np

TIMESTEPS = 1000
BETA_START, BETA_END = 1e-4, 0.02
STEPS, SKIPPED = 100, 25
"""The steps that all of the schedule is respaced to, and how many of the noisiest are left out."""


@dataclass(frozen=True)
class Step:
    """One step of denoising, from x_t to what is left of its noise at the step after it.

    Args:
        timestep: t as the model is told it, 0..999.
        alpha_bar: share of the signal's variance in x_t (Eq. 4 of DDPM).
        alpha_bar_after: that after the step; 1 where it is the last one.
        log_variances: of x_{t-1}, the least and the largest; ADM learns what lies between (Eq. 15 of Improved DDPM).
    """

    timestep: int
    alpha_bar: float
    alpha_bar_after: float
    log_variances: tuple[float, float]

    @property
    def last(self) -> bool:
        return self.alpha_bar_after == 1

    @property
    def beta(self) -> float:
        """The noise that a step of this length adds on its way up."""
        return 1 - self.alpha_bar / self.alpha_bar_after

    @property
    def noise_share(self) -> float:
        """Standard deviation of the noise in x_t."""
        return math.sqrt(1 - self.alpha_bar)

    @property
    def mean_weights(self) -> tuple[float, float]:
        """What the predicted x_0 and x_t count in the mean of x_{t-1} (Eq. 7 of DDPM)."""
        noise = 1 - self.alpha_bar
        of_picture = math.sqrt(self.alpha_bar_after) * self.beta / noise
        return of_picture, (1 - self.alpha_bar_after) * math.sqrt(1 - self.beta) / noise


def respaced_steps(steps: int = STEPS, skipped: int = SKIPPED) -> list[Step]:
    """Spread steps evenly over ADM's linear schedule, its first and last timestep included, and leave out the noisiest.

    Args:
        steps: from 2 to 1000.
        skipped: fewer than there are steps.

    Returns:
        steps - skipped steps, the noisiest first.
    """
    alpha_bars = np.cumprod(1 - np.linspace(BETA_START, BETA_END, TIMESTEPS))
    timesteps = np.rint(np.arange(steps) * ((TIMESTEPS - 1) / (steps - 1))).astype(int)
    kept = alpha_bars[timesteps]
    after = np.append(1.0, kept[:-1])
    betas = 1 - kept / after
    least = betas * (1 - after) / (1 - kept)  # the posterior's variance (Eq. 7 of DDPM), which is 0 at the last step
    least[0] = least[1]
    made = zip(timesteps, kept, after, np.log(least), np.log(betas), strict=True)
    rows = [Step(int(t), float(bar), float(then), (float(low), float(high))) for t, bar, then, low, high in made]
    return rows[: steps - skipped][::-1]
