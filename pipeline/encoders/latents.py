"""Latents: images -> scaled latents -> images, by a diffusers VAE."""

from typing import Any

import torch


@torch.inference_mode()
def encode_mean(vae: Any, images: torch.Tensor) -> torch.Tensor:
    """Encode to the posterior's mean: [b, 3, H, W] in [-1, 1] -> [b, c, h, w] float32, scaled.

    Shards hold it rounded to float16. An AutoencoderTiny has no posterior: its latent is the mean.
    """
    encoded = vae.encode(images.to(vae.device, vae.dtype))
    latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    return _scale(vae, latents.float())


@torch.inference_mode()
def encode_sample(vae: Any, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Encode to a draw from the posterior, as diffusers' pipeline does: scaled in the VAE's precision."""
    encoded = vae.encode(images.to(vae.device, vae.dtype))
    return _scale(vae, encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.sample(generator))


@torch.inference_mode()
def decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Decode scaled latents [b, c, h, w] -> images [b, 3, H, W] float32 in [0, 1]; NaN where they are not finite."""
    unscaled = latents.to(vae.device, vae.dtype) / vae.config.scaling_factor + _shift(vae)
    return unit_range(vae.decode(unscaled).sample.float())


def unit_range(images: torch.Tensor) -> torch.Tensor:
    """Bring decoded pictures from [-1, 1] to [0, 1], and cut off what is outside; what is not finite becomes NaN."""
    return torch.where(images.isfinite(), (images / 2 + 0.5).clamp(0, 1), torch.nan)


def _scale(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    scaled: torch.Tensor = (latents - _shift(vae)) * vae.config.scaling_factor
    return scaled


def _shift(vae: Any) -> float:
    return vae.config.get("shift_factor") or 0.0
