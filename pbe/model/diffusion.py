"""Diffusion: latents, noise and timesteps -> noisy latents; the UNet's prediction -> the loss of each sample.

Paint by Example trains Stable Diffusion's objective: predict the noise, mean squared error over the whole latent. Other
objectives minimise something else; what is reported stays that error of the noise, so that they can be compared.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pbe.batch import Batch
from pbe.model.objective import PAPER, Objective
from pbe.model.prediction import velocity
from pbe.model.schedule import Schedule
from pbe.model.unet import unet_input


@dataclass(frozen=True)
class Losses:
    """What a training minimises of one batch, and mean squared errors of the noise, float32."""

    objective: torch.Tensor
    """[b] to be minimised."""
    per_sample: torch.Tensor
    """[b] over the whole latent; detached, unless it is the objective."""
    inside: torch.Tensor
    """[b] inside the hole, detached; NaN where the hole is empty."""
    outside: torch.Tensor
    """[b] outside the hole, detached; NaN where the hole is everything."""


def add_noise(latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, schedule: Schedule) -> torch.Tensor:
    """Sample q(x_t | x_0), Eq. 4 of DDPM: latents and noise [b, c, h, w], timesteps [b] -> [b, c, h, w]."""
    alpha_bar = schedule.alpha_bar(timesteps).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * noise


def predict_noise(
    unet: Callable[..., tuple[torch.Tensor]],
    noisy: torch.Tensor,
    timesteps: torch.Tensor,
    context: torch.Tensor,
    *,
    masked_latents: torch.Tensor,
    masks: torch.Tensor,
) -> torch.Tensor:
    """Predict the noise in latents: the UNet on latents, masked latents and masks, under a context.

    Args:
        noisy: [b, c, h, w].
        timesteps: [b] or a scalar.
        context: [b, n, cross_dim]; its precision is the one the UNet computes in.
        masked_latents: [b, c, h, w].
        masks: [b, 1, h, w], 1 = repaint.

    Returns:
        [b, c, h, w] in the UNet's precision.
    """
    stacked = unet_input(noisy, masked_latents, masks).to(context.dtype)
    return unet(stacked, timesteps, encoder_hidden_states=context, return_dict=False)[0]


def training_loss(
    unet: Callable[..., tuple[torch.Tensor]],
    conditioner: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    batch: Batch,
    schedule: Schedule,
    objective: Objective = PAPER,
) -> Losses:
    """Compute the prediction error, by default Eq. 14 of DDPM, of every sample in the batch.

    `batch.exemplars` must hold features: a live encoder turns pixels into them first.
    """
    noisy = add_noise(batch.latents, batch.noise, batch.timesteps, schedule)
    context = conditioner(batch.exemplars, batch.drop)
    predicted = predict_noise(
        unet, noisy, batch.timesteps, context, masked_latents=batch.masked_latents, masks=batch.masks
    )
    return objective_losses(predicted, batch, schedule, objective)


def objective_losses(predicted: torch.Tensor, batch: Batch, schedule: Schedule, objective: Objective) -> Losses:
    """Compare a UNet's prediction [b, c, h, w] with what it should be: what is minimised, and the error of the noise.

    x_t is known, so that a velocity's error is one of the noise: eps - eps' = sqrt(alpha bar) (v - v').
    """
    masks, timesteps = batch.masks, batch.timesteps
    if objective == PAPER:
        return noise_losses(predicted, batch.noise, masks)
    target, in_noise = batch.noise, torch.ones_like(batch.noise[:, 0, 0, 0])
    if objective.prediction == "v":
        target = velocity(batch.latents, batch.noise, timesteps, schedule)
        in_noise = schedule.alpha_bar(timesteps)
    found = noise_losses(predicted, target, masks, objective.cell_weights(masks))
    return Losses(
        objective=found.objective * objective.timestep_weights(timesteps, schedule),
        per_sample=found.per_sample * in_noise,
        inside=found.inside * in_noise,
        outside=found.outside * in_noise,
    )


def noise_losses(
    predicted: torch.Tensor, noise: torch.Tensor, masks: torch.Tensor, cell_weights: torch.Tensor | None = None
) -> Losses:
    """Compare predicted with true noise [b, c, h, w], also inside and outside of masks [b, 1, h, w] (1 = repaint).

    Args:
        cell_weights: [b, 1, h, w] of the cells in the objective; None: it is the mean over all.
    """
    error = (predicted.float() - noise.float()).square()
    by_cell, per_sample = error.detach().mean(dim=1, keepdim=True), error.mean(dim=(1, 2, 3))
    weighted = None if cell_weights is None else _mean_under(error.mean(dim=1, keepdim=True), cell_weights)
    return Losses(
        objective=per_sample if weighted is None else weighted,
        per_sample=per_sample if weighted is None else per_sample.detach(),
        inside=_mean_under(by_cell, masks),
        outside=_mean_under(by_cell, 1 - masks),
    )


def weighted_loss(objective: torch.Tensor, weights: torch.Tensor, *, valid: float, shares: int) -> torch.Tensor:
    """Reduce one micro-batch to the scalar whose mean over all micro-batches is the mean over valid samples.

    Args:
        objective: [b], of each sample.
        weights: [b], 1, or 0 for a missing sample.
        valid: sum of the weights over the global batch.
        shares: micro-batches in the global batch (ranks times accumulation steps), over which gradients are averaged.
    """
    counted = torch.where(weights > 0, objective * weights, 0.0)  # a missing sample's NaN must not spread
    return counted.sum() * shares / max(valid, 1.0)


def _mean_under(values: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Average [b, 1, h, w] values with [b, 1, h, w] shares -> [b]; NaN where the shares sum to 0."""
    return (values * shares).sum(dim=(1, 2, 3)) / shares.sum(dim=(1, 2, 3))
