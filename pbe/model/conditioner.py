"""Conditioner: exemplar features -> the UNet's cross-attention context, or the unconditional vector in its place.

Paint by Example's information bottleneck: of an exemplar, the UNet sees one pooled CLIP vector only, so that it cannot
paste the picture and has to understand it. The vector goes through a mapper of transformer blocks, a layer norm and a
projection. The mapper sees sequences of one token, over which softmax is 1: attention equals `to_out(to_v(x))` exactly,
and `to_q`, `to_k` are dead. They are kept, frozen, so that files stay interchangeable with diffusers' encoder.
"""

from dataclasses import dataclass

import torch
from torch import nn

_LAYERS_A_BLOCK = 5  # CLIP layers per mapper block: 24 layers of ViT-L/14 make 5 blocks
_MLP_RATIO = 4


@dataclass(frozen=True)
class ConditionerConfig:
    """Sizes of a conditioner."""

    width: int
    """Numbers in an exemplar feature, and the mapper's width."""
    cross_dim: int
    """Numbers in a context token of the UNet."""
    blocks: int
    """Transformer blocks in the mapper."""


def mapper_blocks(hidden_layers: int) -> int:
    """Count the mapper blocks that diffusers' layout has for a CLIP tower of that many layers; at least 1 here.

    An exemplar encoder without transformer layers has 0, and so 1 block.
    """
    return max(1, (hidden_layers + 1) // _LAYERS_A_BLOCK)


class Conditioner(nn.Module):
    """Mapper, final layer norm, projection and unconditional vector, under diffusers' state-dict keys.

    The unconditional vector is learned; it stands for "no exemplar" in classifier-free guidance (Ho and Salimans).
    """

    def __init__(self, config: ConditionerConfig) -> None:
        super().__init__()
        self.config = config
        self.mapper = _Mapper(config)
        self.final_layer_norm = nn.LayerNorm(config.width)
        self.proj_out = nn.Linear(config.width, config.cross_dim)
        self.uncond_vector = nn.Parameter(torch.randn(1, 1, config.cross_dim))

    def forward(self, features: torch.Tensor, drop: torch.Tensor | None = None) -> torch.Tensor:
        """Turn exemplar features into context.

        Args:
            features: [b, width] pooled vectors (the bottleneck), or [b, n, width] tokens, each mapped by itself.
            drop: [b] bool, True = the unconditional vector replaces the exemplar (classifier-free guidance).

        Returns:
            [b, n, cross_dim], n = 1 for pooled vectors.

        Raises:
            ValueError: features of another shape.
        """
        if features.ndim == 2:
            features = features[:, None]
        if features.ndim != 3 or features.shape[-1] != self.config.width:
            raise ValueError(
                f"exemplar features of shape {tuple(features.shape)}: the conditioner takes [b, {self.config.width}] "
                f"or [b, n, {self.config.width}]; encode pictures first"
            )
        hidden = self.mapper(features.to(self.proj_out.weight.dtype))
        context: torch.Tensor = self.proj_out(self.final_layer_norm(hidden))  # [b, n, width] -> [b, n, cross_dim]
        return context if drop is None else self.drop_exemplars(context, drop)

    def drop_exemplars(self, context: torch.Tensor, drop: torch.Tensor) -> torch.Tensor:
        """Put the unconditional vector where `drop` [b] is True: context [b, n, cross_dim] -> the same shape."""
        return torch.where(drop[:, None, None], self.unconditional(context), context)

    def unconditional(self, context: torch.Tensor) -> torch.Tensor:
        """Return the unconditional context in the shape and precision of `context` [b, n, cross_dim]."""
        return self.uncond_vector.to(context.dtype).expand_as(context)


class _Mapper(nn.Module):
    """Transformer blocks that map every token by itself: [b, n, width] -> [b, n, width]."""

    def __init__(self, config: ConditionerConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(config.width) for _ in range(config.blocks))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            hidden = block(hidden)
        return hidden


class _Block(nn.Module):
    """A pre-norm transformer block for one token: x + attention(norm(x)), then x + MLP(norm(x)), [b, n, width].

    The names are diffusers': `norm3` since its `norm2` belongs to a cross-attention, which is not there.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = _OneTokenAttention(width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = _FeedForward(width)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = hidden + self.attn1(self.norm1(hidden))
        hidden = hidden + self.ff(self.norm3(hidden))
        return hidden


class _OneTokenAttention(nn.Module):
    """Self-attention of a token with itself alone, [b, n, width] -> [b, n, width].

    Eq. 1 of Attention Is All You Need over a single key: the softmax is 1, so queries and keys do not matter.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(width, width).requires_grad_(False)
        self.to_k = nn.Linear(width, width).requires_grad_(False)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.to_out[0](self.to_v(hidden))
        return output


class _FeedForward(nn.Module):
    """The block's MLP, [b, n, width] -> [b, n, width] through 4 * width; 0 and 2 of `net` hold diffusers' weights."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.ModuleList(
            [_GeluLinear(width, _MLP_RATIO * width), nn.Identity(), nn.Linear(_MLP_RATIO * width, width)]
        )

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for layer in self.net:
            hidden = layer(hidden)
        return hidden


class _GeluLinear(nn.Module):
    """A linear layer, then the exact GELU (not its tanh approximation): [..., width_in] -> [..., width_out]."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width_in, width_out)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return nn.functional.gelu(self.proj(hidden))
