"""Batch: what the feed hands to the model."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Batch:
    """A micro-batch of samples, on the CPU."""

    keys: list[str]
    """Sample keys."""
    ordinals: torch.Tensor
    """[b] int64 global sample ordinals."""
    latents: torch.Tensor
    """[b,c,h,w] float32, scaled."""
    masked_latents: torch.Tensor
    """[b,c,h,w] float32, scaled."""
    masks: torch.Tensor
    """[b,1,h,w] float32 in [0,1], 1 = repaint, latent size."""
    exemplars: torch.Tensor
    """[b,d] float32 pooled vectors, or [b,3,224,224] pixels normalised for the live encoder."""
    noise: torch.Tensor
    """[b,c,h,w] float32."""
    timesteps: torch.Tensor
    """[b] int64, 0..999."""
    drop: torch.Tensor
    """[b] bool, True = unconditional."""
    weights: torch.Tensor
    """[b] float32, 1 or 0 (missing sample)."""
