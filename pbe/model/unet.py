"""UNet: noisy latents, masked latents, masks and context -> the noise in the latents.

diffusers' Stable Diffusion v1 UNet with 2c+1 input channels. On a context of one token, cross-attention's softmax is 1
for every query: it equals `to_out(to_v(context))` at every position, exactly. It is computed so, and its query path
(`norm2`, `to_q`, `to_k`) is frozen and skipped.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from torch import nn

MASK_CHANNELS = 1


@dataclass(frozen=True)
class UNetSize:
    """Sizes of a UNet of Stable Diffusion v1's kind: levels with cross-attention, then one without."""

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
    "small": UNetSize(widths=(32, 64, 96), cross_dim=64, heads=4, groups=8, layers=1),
    "tiny": UNetSize(widths=(8, 16), cross_dim=16, heads=2, groups=4, layers=1),
}


def unet_config(size: UNetSize, *, latent_channels: int, latent_size: int = 64) -> dict[str, Any]:
    """Write the size as diffusers' config of a UNet with [noisy latent c, masked latent c, mask 1] as input."""
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
    """Build the UNet from diffusers' config, weights at random.

    Args:
        one_token: the bottleneck is on: cross-attention by broadcast, its query path frozen, longer contexts refused.
            Otherwise stock attention, all of it trained.
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
    """Turn masks with 1 = repaint into the UNet's mask channel with 1 = keep, the only place where this happens."""
    return 1 - masks


def broadcast_context(unet: UNet2DConditionModel) -> None:
    """Compute every cross-attention as the broadcast of its one context token; freeze and skip its query path."""
    for block in _cross_attention_blocks(unet):
        block.norm2 = _SkippedNorm.in_place_of(block.norm2)
        block.attn2.set_processor(_OneTokenCrossAttention())
        for dead in (block.norm2, block.attn2.to_q, block.attn2.to_k):
            dead.requires_grad_(False)


@contextmanager
def attention_everywhere(unet: UNet2DConditionModel) -> Iterator[None]:
    """Compute a one-token cross-attention's output at every position for a while: slower, but stock attention's bits.

    The broadcast multiplies one row where stock attention multiplies as many as there are positions, which rounds
    differently.
    """
    processors = [block.attn2.processor for block in _cross_attention_blocks(unet)]
    ours = [processor for processor in processors if isinstance(processor, _OneTokenCrossAttention)]
    try:
        for processor in ours:
            processor.everywhere = True
        yield
    finally:
        for processor in ours:
            processor.everywhere = False


@contextmanager
def shared_before_context(unet: UNet2DConditionModel) -> Iterator[None]:
    """For a while, compute what comes before the first cross-attention for half of the batch, and take it twice.

    For guidance, whose two halves differ in context alone. One of the UNet's five self-attentions over all latent
    cells is among what is saved.
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


def compile_unet(unet: UNet2DConditionModel) -> None:
    """Compile the UNet in place; state-dict names stay.

    Without layout optimisation, which gives wrong gradients on the CPU in torch 2.13. Choose channels-last explicitly.
    """
    unet.compile(options={"layout_optimization": False})


def _modules_before_context(unet: Any) -> list[nn.Module]:
    first = unet.down_blocks[0]
    if not getattr(first, "has_cross_attention", False):
        return []
    transformer = first.attentions[0]
    block = transformer.transformer_blocks[0]
    return [unet.conv_in, first.resnets[0], transformer.norm, transformer.proj_in, block.norm1, block.attn1]


def _first_half(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(each[: len(each) // 2] for each in inputs)


def _twice(_: nn.Module, __: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    return torch.cat([output, output])


def _cross_attention_blocks(unet: nn.Module) -> list[Any]:
    return [module for module in unet.modules() if getattr(module, "attn2", None) is not None]


class _SkippedNorm(nn.LayerNorm):
    """A layer norm whose result nobody reads: its weights stay in the state dict, it computes nothing."""

    @classmethod
    def in_place_of(cls, norm: nn.LayerNorm) -> "_SkippedNorm":
        """Take over the weights of `norm`."""
        skipped = cls(norm.normalized_shape, eps=norm.eps, device="meta")
        skipped.weight, skipped.bias = norm.weight, norm.bias
        return skipped

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden


class _OneTokenCrossAttention:
    """A diffusers attention processor for contexts of one token."""

    everywhere = False

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Context [b, 1, cross_dim] -> [b, 1, width], which the caller's sum broadcasts over all positions.

        With `everywhere`, [b, positions, width].

        Raises:
            ValueError: there is not exactly one context token.
        """
        tokens = 0 if encoder_hidden_states is None else encoder_hidden_states.shape[1]
        if tokens != 1:
            raise ValueError(
                f"a context of {tokens} tokens reached cross-attention that was built for one token; "
                "build the UNet with one_token=False (bottleneck off) or give it pooled exemplar vectors"
            )
        values = attn.to_v(encoder_hidden_states)
        if self.everywhere:
            values = values.expand(-1, hidden_states.shape[1], -1)
        projected = attn.to_out[0](values)
        return cast(torch.Tensor, attn.to_out[1](projected))
