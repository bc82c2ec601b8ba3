"""One token: what a context of a single token makes cheaper in the UNet's cross-attention."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from torch import nn


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
