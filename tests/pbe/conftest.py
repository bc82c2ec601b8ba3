"""Tiny random models and batches, and diffusers' own Paint by Example as the oracle."""

import sys
from collections.abc import Callable
from typing import Any

import diffusers
import diffusers.pipelines
import diffusers.pipelines.deprecated.paint_by_example as deprecated
import pytest
import torch
import transformers

from pbe.batch import Batch
from pbe.model import ModelConfig, PaintByExample, model_config
from pbe.unet import UNET_SIZES, UNetSize

# diffusers 0.38 moved this module and its loader does not find it any more
diffusers.pipelines.paint_by_example = deprecated
sys.modules["diffusers.pipelines.paint_by_example"] = deprecated

CHANNELS = 4
WIDTH = 64  # of the exemplar vectors
LATENT = 8
LDM_SIZE = UNetSize(widths=(8, 8, 16), cross_dim=16, heads=2, groups=4, layers=2)

BatchMaker = Callable[..., Batch]


def tiny_config(*, bottleneck: bool = True, size: UNetSize = UNET_SIZES["tiny"]) -> ModelConfig:
    return model_config(
        size, latent_channels=CHANNELS, latent_size=LATENT, exemplar_width=WIDTH, blocks=1, bottleneck=bottleneck
    )


def random_model(config: ModelConfig, *, seed: int = 0) -> PaintByExample:
    """A model with every weight at random, also those that start at zero or one."""
    torch.manual_seed(seed)
    model = PaintByExample(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


@pytest.fixture
def model() -> PaintByExample:
    return random_model(tiny_config())


@pytest.fixture
def make_batch() -> BatchMaker:
    """Make a random batch; keyword arguments replace fields."""

    def make(b: int = 3, *, seed: int = 0, **fields: Any) -> Batch:
        g = torch.Generator().manual_seed(seed)
        latent = (b, CHANNELS, LATENT, LATENT)
        values: dict[str, Any] = {
            "keys": [f"photo-0-{i}" for i in range(b)],
            "ordinals": torch.arange(b),
            "latents": torch.randn(latent, generator=g),
            "masked_latents": torch.randn(latent, generator=g),
            "masks": torch.rand((b, 1, LATENT, LATENT), generator=g),
            "exemplars": torch.randn((b, WIDTH), generator=g),
            "noise": torch.randn(latent, generator=g),
            "timesteps": torch.randint(0, 1000, (b,), generator=g),
            "drop": torch.rand(b, generator=g) < 0.5,
            "weights": torch.ones(b),
        }
        return Batch(**{**values, **fields})

    return make


def clip_config(*, projection: int = 16, layers: int = 4) -> Any:
    return transformers.CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        projection_dim=projection,
    )


def diffusers_encoder(*, layers: int = 4, seed: int = 1) -> Any:
    """diffusers' PaintByExampleImageEncoder, all weights at random."""
    torch.manual_seed(seed)
    encoder = deprecated.PaintByExampleImageEncoder(clip_config(layers=layers))
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return encoder.eval()


@pytest.fixture(scope="session")
def ldm_vae_module() -> Any:
    """An AutoencoderKL like Stable Diffusion's, tiny: two levels, two residual blocks a level."""
    torch.manual_seed(2)
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=2,
        latent_channels=CHANNELS,
        norm_num_groups=4,
    ).eval()
