"""One token: a UNet whose context is a single token -> the same UNet with cheaper cross-attention.

Attention is softmax(Q K^T / sqrt(d)) V (Eq. 1 of Attention Is All You Need). Over a single key the softmax is 1 for
every query, so that cross-attention equals `to_out(to_v(context))` at every position, exactly. It is computed that way.
Its query path (`norm2`, `to_q`, `to_k`) is dead: its gradient is zero, so it is frozen and skipped, but stays in the
state dict, which other programs load.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from torch import nn


def broadcast_context(unet: UNet2DConditionModel) -> None:
    """Compute every cross-attention as the broadcast of its one context token; freeze and skip its query path.

    The output is one row a picture, [b, 1, width]; the residual sum after it spreads it over all positions.
    """
    for block in _cross_attention_blocks(unet):
        block.norm2 = _SkippedNorm.in_place_of(block.norm2)
        block.attn2.set_processor(_OneTokenCrossAttention())
        for dead in (block.norm2, block.attn2.to_q, block.attn2.to_k):
            dead.requires_grad_(False)


@contextmanager
def attention_everywhere(unet: UNet2DConditionModel) -> Iterator[None]:
    """Inside this context, compute one-token cross-attention at every position: slower, with stock attention's bits.

    The broadcast multiplies a matrix of one row where stock attention multiplies one of as many rows as there are
    positions, and the two round differently.
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


def _cross_attention_blocks(unet: nn.Module) -> list[Any]:
    """List diffusers' transformer blocks that have a cross-attention, `attn2`, behind a layer norm, `norm2`."""
    return [module for module in unet.modules() if getattr(module, "attn2", None) is not None]


class _SkippedNorm(nn.LayerNorm):
    """A layer norm whose result is not read: its weights stay in the state dict, it computes nothing."""

    @classmethod
    def in_place_of(cls, norm: nn.LayerNorm) -> "_SkippedNorm":
        """Make one with the weights of `norm`, not copies of them."""
        skipped = cls(norm.normalized_shape, eps=norm.eps, device="meta")
        skipped.weight, skipped.bias = norm.weight, norm.bias
        return skipped

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden


class _OneTokenCrossAttention:
    """A diffusers attention processor for contexts of one token."""

    everywhere = False  # see attention_everywhere

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attend to a context of one token; the signature is diffusers'.

        Args:
            attn: diffusers' Attention module, for its weights.
            hidden_states: [b, positions, width].
            encoder_hidden_states: the context, [b, 1, cross_dim].

        Returns:
            [b, 1, width], which the caller's residual sum broadcasts; with `everywhere`, [b, positions, width].

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
