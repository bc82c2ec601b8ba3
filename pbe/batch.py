"""Batch: samples of a dataset with the randomness of one training step -> what the model's loss takes."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

TIMESTEPS = 1000  # of the diffusion process; the feed draws them, the model's noise schedule has as many


@dataclass(frozen=True)
class Batch:
    """One micro-batch of b samples, every random choice already made. Mask 1 = repaint."""

    keys: list[str]
    """[b] sample keys."""
    ordinals: torch.Tensor
    """[b] int64, the samples' global ordinals."""
    latents: torch.Tensor
    """[b, c, h, w] float32, scaled."""
    masked_latents: torch.Tensor
    """[b, c, h, w] float32, scaled."""
    masks: torch.Tensor
    """[b, 1, h, w] float32 in [0, 1], 1 = repaint, latent size."""
    exemplars: torch.Tensor
    """[b, d] float32 pooled vectors, or pictures [b, 3, 224, 224] in [0, 1], for the live encoder."""
    noise: torch.Tensor
    """[b, c, h, w] float32."""
    timesteps: torch.Tensor
    """[b] int64, 0 .. TIMESTEPS - 1."""
    drop: torch.Tensor
    """[b] bool, True = unconditional."""
    weights: torch.Tensor
    """[b] float32, 1, or 0 for a missing sample."""
    masked_sources: torch.Tensor | None = None
    """[b, 3, resolution, resolution] float32 in [-1, 1], the hole 0: where masks are not the drawn ones, so that the
    stored masked latents do not fit them and the VAE has to encode these."""

    def take(self, kept: torch.Tensor) -> "Batch":
        """Keep the samples where `kept`, [b] bool on the CPU, is True."""
        keys = [key for key, stays in zip(self.keys, kept.tolist(), strict=True) if stays]
        return replace(self._each(lambda tensor: tensor[kept.to(tensor.device)]), keys=keys)

    def to(self, device: torch.device | str) -> "Batch":
        """Move every tensor to a device, without waiting for the copies."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        """Apply a function to every tensor."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: change(v) for name, v in values.items() if isinstance(v, torch.Tensor)}
        return replace(self, **changed)
