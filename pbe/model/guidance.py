"""Guidance: a batch whose two halves differ in context alone -> what they share, computed once.

Classifier-free guidance calls the UNet on the same noisy latents with and without the exemplar. Up to the first
cross-attention, which reads the context, both halves hold the same numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn


@contextmanager
def shared_before_context(unet: UNet2DConditionModel) -> Iterator[None]:
    """Inside this context, compute what comes before the first cross-attention for half of the batch, and double it.

    Saves, among others, one of the UNet's five self-attentions over all latent cells, which are its dearest.
    """
    handles = []
    for module in _modules_before_context(unet):
        handles.append(module.register_forward_pre_hook(_first_half))
        handles.append(module.register_forward_hook(_twice))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _modules_before_context(unet: Any) -> list[nn.Module]:
    """List the modules on the way to the first cross-attention; none where the first level has no cross-attention.

    Skips and residual sums run between them on doubled outputs: they cost little, and need both halves later on.
    """
    first = unet.down_blocks[0]
    if not getattr(first, "has_cross_attention", False):
        return []
    transformer = first.attentions[0]
    block = transformer.transformer_blocks[0]
    return [unet.conv_in, first.resnets[0], transformer.norm, transformer.proj_in, block.norm1, block.attn1]


def _first_half(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Halve a module's inputs: [2b, ...] -> [b, ...] each."""
    return tuple(each[: len(each) // 2] for each in inputs)


def _twice(_: nn.Module, __: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """Double a module's output: [b, ...] -> [2b, ...]."""
    return torch.cat([output, output])
