"""Diffusion: latents, noise and timesteps -> noisy latents; the UNet's prediction -> the loss of each sample.

Paint by Example trains Stable Diffusion's objective: predict the noise, mean squared error over the whole latent.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pbe.batch import Batch
from pbe.model.schedule import Schedule
from pbe.model.unet import unet_input


@dataclass(frozen=True)
class Losses:
    """Mean squared errors of one batch, float32."""

    per_sample: torch.Tensor
    """[b] over the whole latent."""
    inside: torch.Tensor
    """[b] inside the hole, detached; NaN where the hole is empty."""
    outside: torch.Tensor
    """[b] outside the hole, detached; NaN where the hole is everything."""


def add_noise(latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, schedule: Schedule) -> torch.Tensor:
    """Sample q(x_t | x_0), Eq. 4 of DDPM: latents and noise [b, c, h, w], timesteps [b] -> [b, c, h, w]."""
    alpha_bar = schedule.to(timesteps.device).alphas_cumprod[timesteps].view(-1, 1, 1, 1)
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
) -> Losses:
    """Compute the noise prediction error, Eq. 14 of DDPM, of every sample in the batch.

    `batch.exemplars` must hold features: a live encoder turns pixels into them first.
    """
    noisy = add_noise(batch.latents, batch.noise, batch.timesteps, schedule)
    context = conditioner(batch.exemplars, batch.drop)
    predicted = predict_noise(
        unet, noisy, batch.timesteps, context, masked_latents=batch.masked_latents, masks=batch.masks
    )
    return noise_losses(predicted, batch.noise, batch.masks)


def noise_losses(predicted: torch.Tensor, noise: torch.Tensor, masks: torch.Tensor) -> Losses:
    """Compare predicted with true noise [b, c, h, w], also inside and outside of masks [b, 1, h, w] (1 = repaint)."""
    error = (predicted.float() - noise.float()).square()
    by_cell = error.detach().mean(dim=1, keepdim=True)  # [b, 1, h, w]
    return Losses(
        per_sample=error.mean(dim=(1, 2, 3)),
        inside=_mean_under(by_cell, masks),
        outside=_mean_under(by_cell, 1 - masks),
    )


def weighted_loss(per_sample: torch.Tensor, weights: torch.Tensor, *, valid: float, shares: int) -> torch.Tensor:
    """Reduce one micro-batch to the scalar whose mean over all micro-batches is the mean over valid samples.

    Args:
        per_sample: [b] losses.
        weights: [b], 1, or 0 for a missing sample.
        valid: sum of the weights over the global batch.
        shares: micro-batches in the global batch (ranks times accumulation steps), over which gradients are averaged.
    """
    counted = torch.where(weights > 0, per_sample * weights, 0.0)  # a missing sample's NaN must not spread
    return counted.sum() * shares / max(valid, 1.0)


def _mean_under(values: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Average [b, 1, h, w] values with [b, 1, h, w] shares -> [b]; NaN where the shares sum to 0."""
    return (values * shares).sum(dim=(1, 2, 3)) / shares.sum(dim=(1, 2, 3))
