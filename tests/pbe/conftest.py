"""Tiny random models and batches, and diffusers' own Paint by Example as the oracle."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

from pbe.batch import Batch
from pbe.model.paint_by_example import ModelConfig, PaintByExample, model_config
from pbe.model.unet import UNET_SIZES, UNetSize, build_unet
from pbe.weights.opening import paint_by_example_module

deprecated = paint_by_example_module()

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


def random_batch(b: int = 3, *, seed: int = 0, **fields: Any) -> Batch:
    """A random batch; keyword arguments replace fields."""
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


@pytest.fixture
def make_batch() -> BatchMaker:
    return random_batch


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
    return tiny_vae()


def tiny_vae() -> Any:
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


def diffusers_pipeline(vae: Any, *, size: UNetSize = UNET_SIZES["tiny"]) -> Any:
    """diffusers' whole Paint by Example pipeline on a tiny random UNet and encoder."""
    pipeline = deprecated.PaintByExamplePipeline(
        vae=vae,
        image_encoder=diffusers_encoder(),
        unet=build_unet(random_model(tiny_config(size=size)).unet.config, one_token=False).eval(),
        scheduler=diffusers.PNDMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            skip_prk_steps=True,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32),
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_published(pipeline: Any, folder: Path, **options: Any) -> str:
    """Save as published folders are, which name the image encoder's module as versions before 0.38 did."""
    pipeline.save_pretrained(folder, **options)
    index = json.loads((folder / "model_index.json").read_text())
    index["image_encoder"] = ["paint_by_example", "PaintByExampleImageEncoder"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return str(folder)


def paint(pipeline: Any, *, output_type: str) -> Any:
    """Edit a fixed picture in few steps by diffusers' pipeline: latents [1, 4, 8, 8] or pixels [1, 16, 16, 3]."""
    pipeline.set_progress_bar_config(disable=True)
    g = torch.Generator().manual_seed(7)
    image, exemplar = torch.rand(1, 3, 16, 16, generator=g) * 2 - 1, torch.randn(1, 3, 32, 32, generator=g)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    return pipeline(
        example_image=exemplar,
        image=image,
        mask_image=mask,
        num_inference_steps=4,
        guidance_scale=5.0,
        generator=g,
        output_type=output_type,
    ).images


def assert_same(actual: Any, expected: Any) -> None:
    """Equal names and equal tensors, bit by bit, precision included."""
    assert actual.keys() == expected.keys()
    for key in actual:
        assert actual[key].dtype == expected[key].dtype and torch.equal(actual[key], expected[key]), key
