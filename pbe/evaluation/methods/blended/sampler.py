"""Sampler: a source, its hole, a model of pixels and a guide -> the source with the hole painted.

Algorithm 2 of Blended Diffusion, with what its public code adds: the guide looks at a blend of the predicted and the
noisy picture, and what leaves the range of colours costs.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from pbe.evaluation.methods.blended.schedule import Step
from pipeline.rng import rng_for

RANGE_WEIGHT = 50.0

PixelModel = Callable[[torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]
"""Noisy pictures [b, 3, s, s] and their timestep -> their noise, and where between its bounds each log variance lies,
from -1 to 1; with a gradient."""
Guide = Callable[[torch.Tensor, Step], torch.Tensor]
"""What the hole [1, 3, s, s] shows at a step, all around it being 0 -> how wrong that is, with a gradient: []."""


def paint(
    model: PixelModel, guide: Guide, source: torch.Tensor, hole: torch.Tensor, *, steps: Sequence[Step], seed: int
) -> torch.Tensor:
    """Paint a hole.

    Args:
        source: [1, 3, s, s] float32 in [-1, 1]; what the hole shows in it is where the painting starts from.
        hole: [1, 1, s, s] float32, 1 = paint, 0 = keep.
        steps: see `respaced_steps`.
        seed: of the case: the noise depends on it and on the step alone.

    Returns:
        [1, 3, s, s] float32, in about [-1, 1]; outside the hole the source, exactly.
    """
    noisy = add_noise(source, steps[0], _noise("start", steps[0], source, seed))
    for step in steps[:-1]:
        painted = _guided_step(model, guide, noisy, hole, step, _noise("hole", step, source, seed))
        # As in the paper and its code, the background has the noise of before the step.
        background = add_noise(source, step, _noise("background", step, source, seed))
        noisy = _blend(painted, background, hole)
    with torch.no_grad():
        picture, _, _ = _predict(model, noisy, steps[-1])
    return _blend(picture, source, hole)


def add_noise(picture: torch.Tensor, step: Step, noise: torch.Tensor) -> torch.Tensor:
    """Bring a picture to the noise that a step begins with (Eq. 4 of DDPM)."""
    return math.sqrt(step.alpha_bar) * picture + step.noise_share * noise


def range_loss(picture: torch.Tensor) -> torch.Tensor:
    """Mean square of how far pixels leave [-1, 1]: [1, 3, s, s] -> []."""
    return (picture - picture.clamp(-1, 1)).square().mean()


def _guided_step(
    model: PixelModel, guide: Guide, noisy: torch.Tensor, hole: torch.Tensor, step: Step, noise: torch.Tensor
) -> torch.Tensor:
    """Draw x_{t-1}, its mean shifted by the variance times the slope of the losses at x_t, through the model."""
    with torch.enable_grad():
        noisy = noisy.detach().requires_grad_()
        picture, mean, log_variance = _predict(model, noisy, step)
        seen = step.noise_share * picture + (1 - step.noise_share) * noisy
        loss = guide(seen * hole, step) + RANGE_WEIGHT * range_loss(picture)
        [slope] = torch.autograd.grad(loss, noisy)
    return (mean - log_variance.exp() * slope + (log_variance / 2).exp() * noise).detach()


def _predict(model: PixelModel, noisy: torch.Tensor, step: Step) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Predict x_0, and mean and log variance of x_{t-1}: [b, 3, s, s] each."""
    noise, between = model(noisy, step.timestep)
    picture = (noisy - step.noise_share * noise) / math.sqrt(step.alpha_bar)
    of_picture, of_noisy = step.mean_weights
    least, most = step.log_variances
    return picture, of_picture * picture + of_noisy * noisy, least + (between + 1) / 2 * (most - least)


def _blend(painted: torch.Tensor, background: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
    return torch.where(hole > 0, painted, background)


def _noise(what: str, step: Step, like: torch.Tensor, seed: int) -> torch.Tensor:
    """Draw the noise of one use in one step, the same on any device."""
    drawn = rng_for(seed, f"blended-{what}", step.timestep).standard_normal(like.shape, np.float32)
    return torch.from_numpy(drawn).to(like.device)
