"""Schedule: the noise schedule of Stable Diffusion v1, defined once."""

from dataclasses import dataclass

import torch

TIMESTEPS = 1000
BETA_START = 0.00085
BETA_END = 0.012


@dataclass(frozen=True)
class Schedule:
    """How much of the signal is left at each timestep."""

    alphas_cumprod: torch.Tensor
    """[1000] float32, the cumulative product of 1 - beta."""

    def to(self, device: torch.device) -> "Schedule":
        """Move to a device; precision stays float32."""
        return self if self.alphas_cumprod.device == device else Schedule(self.alphas_cumprod.to(device))


def scaled_linear_schedule() -> Schedule:
    """Make Stable Diffusion v1's schedule: the square roots of beta are equally spaced."""
    roots = torch.linspace(BETA_START**0.5, BETA_END**0.5, TIMESTEPS, dtype=torch.float64, device="cpu")
    return Schedule(torch.cumprod(1 - roots**2, dim=0).float())
