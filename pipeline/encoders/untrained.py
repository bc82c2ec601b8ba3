"""Untrained: small seeded encoders that have learned nothing, to try the system with."""

from typing import Any

import torch

from pipeline.encoders.libraries import diffusers, transformers

UNTRAINED_SEED = 0


def untrained_vae() -> Any:
    """Make an AutoencoderKL of 4 levels, the same on every machine."""
    blocks = 4
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        return diffusers.AutoencoderKL(
            block_out_channels=(8, 16, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            latent_channels=4,
            norm_num_groups=4,
        )


def untrained_clip() -> Any:
    """Make a CLIPVisionModel of 4 layers, likewise."""
    return _seeded(transformers.CLIPVisionModel, _clip_config())


def untrained_projecting_clip() -> Any:
    """Make a CLIPVisionModelWithProjection of the same shape, likewise."""
    return _seeded(transformers.CLIPVisionModelWithProjection, _clip_config())


def untrained_vit() -> Any:
    """Make a ViTModel of 2 layers, likewise."""
    config = transformers.ViTConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, patch_size=32
    )
    return _seeded(transformers.ViTModel, config, add_pooling_layer=False)


def _clip_config() -> Any:
    return transformers.CLIPVisionConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4, projection_dim=64
    )


def _seeded(kind: Any, config: Any, **further: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(UNTRAINED_SEED)
        return kind(config, **further)
