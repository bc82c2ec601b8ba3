"""UNet: noisy latents, masked latents, masks and context -> the noise in the latents.

diffusers' Stable Diffusion v1 UNet with 2c+1 input channels; `pbe.model.one_token` makes its cross-attention cheap.
"""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from pbe.model.one_token import broadcast_context

MASK_CHANNELS = 1


@dataclass(frozen=True)
class UNetSize:
    """Sizes of a UNet like Stable Diffusion v1's: levels with cross-attention, and a coarsest level without."""

    widths: tuple[int, ...]
    """Channels of each level, the finest first; each a multiple of `heads` and `groups`."""
    cross_dim: int
    """Numbers in a context token."""
    heads: int = 8
    """Attention heads at every level."""
    groups: int = 32
    """Groups of the group norms."""
    layers: int = 2
    """Residual blocks a level on the way down; one more on the way up."""


UNET_SIZES = {
    "sd-v1": UNetSize(widths=(320, 640, 1280, 1280), cross_dim=768),
    "demo": UNetSize(widths=(64, 96, 112), cross_dim=96, heads=4, groups=16, layers=1),
    "small": UNetSize(widths=(32, 64, 96), cross_dim=64, heads=4, groups=8, layers=1),
    "tiny": UNetSize(widths=(8, 16), cross_dim=16, heads=2, groups=4, layers=1),
}


def unet_config(size: UNetSize, *, latent_channels: int, latent_size: int = 64) -> dict[str, Any]:
    """Return diffusers' config of a UNet of this size that takes [noisy latent c, masked latent c, mask 1] as input."""
    inner = len(size.widths) - 1
    return {
        "sample_size": latent_size,
        "in_channels": input_channels(latent_channels),
        "out_channels": latent_channels,
        "down_block_types": ("CrossAttnDownBlock2D",) * inner + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * inner,
        "block_out_channels": size.widths,
        "layers_per_block": size.layers,
        "cross_attention_dim": size.cross_dim,
        "attention_head_dim": size.heads,  # diffusers' name for the number of heads
        "norm_num_groups": size.groups,
    }


def build_unet(config: dict[str, Any], *, one_token: bool = True) -> UNet2DConditionModel:
    """Build the UNet from diffusers' config, with random weights.

    Args:
        one_token: the bottleneck is on: cross-attention is a broadcast, its query path is frozen, longer contexts are
            refused. Otherwise stock attention, all of it trained.
    """
    unet: UNet2DConditionModel = UNet2DConditionModel.from_config(config)
    if one_token:
        broadcast_context(unet)
    return unet


def input_channels(latent_channels: int) -> int:
    """Count the UNet's input channels: noisy latent, masked latent, mask."""
    return 2 * latent_channels + MASK_CHANNELS


def unet_input(noisy: torch.Tensor, masked_latents: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Stack what the UNet sees: [b, c, h, w], [b, c, h, w], masks [b, 1, h, w] with 1 = repaint -> [b, 2c+1, h, w]."""
    return torch.cat([noisy, masked_latents, keep_channel(masks)], dim=1)


def keep_channel(masks: torch.Tensor) -> torch.Tensor:
    """Turn masks, 1 = repaint, into the UNet's mask channel, 1 = keep. Nothing else in the project does this."""
    return 1 - masks


def compile_unet(unet: UNet2DConditionModel) -> None:
    """Compile the UNet in place; state-dict names stay.

    Without layout optimisation, which gives wrong gradients on the CPU in torch 2.13: choose channels-last explicitly.
    """
    unet.compile(options={"layout_optimization": False})
