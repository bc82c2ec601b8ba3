"""Schedule: a timestep -> how much of the signal is left in a noisy latent, by Stable Diffusion v1's noise schedule.

The only place that defines it: training, sampling, the check of foreign weights and exported models take it from here.
"""

from dataclasses import dataclass

import torch

from pbe.batch import TIMESTEPS

BETA_START = 0.00085
BETA_END = 0.012

NOISE_SCHEDULE = {
    "num_train_timesteps": TIMESTEPS,
    "beta_start": BETA_START,
    "beta_end": BETA_END,
    "beta_schedule": "scaled_linear",
}
"""The same schedule in the words of diffusers' scheduler configs."""


@dataclass(frozen=True)
class Schedule:
    """How much of the signal is left at each timestep."""

    alphas_cumprod: torch.Tensor
    """[TIMESTEPS] float32, the cumulative product of 1 - beta: alpha bar, Eq. 4 of DDPM."""

    def to(self, device: torch.device) -> "Schedule":
        """Move to a device; precision stays float32."""
        return self if self.alphas_cumprod.device == device else Schedule(self.alphas_cumprod.to(device))

    def alpha_bar(self, timesteps: torch.Tensor) -> torch.Tensor:
        """Look up timesteps, [b] or a scalar: of their shape, float32, on their device."""
        return self.to(timesteps.device).alphas_cumprod[timesteps]


def scaled_linear_schedule() -> Schedule:
    """Make Stable Diffusion v1's schedule: the square roots of beta are equally spaced."""
    roots = torch.linspace(BETA_START**0.5, BETA_END**0.5, TIMESTEPS, dtype=torch.float64, device="cpu")
    return Schedule(torch.cumprod(1 - roots**2, dim=0).float())
