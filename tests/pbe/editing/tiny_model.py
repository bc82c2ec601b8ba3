"""A tiny model folder to edit with, and pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from pbe.model.prediction import Prediction
from pbe.weights.export import export_model
from tests.pbe.conftest import CHANNELS, diffusers_encoder, random_model, tiny_config


def write_model(out: Path, *, seed: int = 0, step: int = 7, prediction: Prediction = "epsilon") -> Path:
    """Export random weights as a diffusers folder whose pictures are 16 x 16 px, 2 px a latent cell."""
    torch.manual_seed(seed)
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=CHANNELS,
        norm_num_groups=4,
    ).eval()
    model = random_model(replace(tiny_config(), prediction=prediction), seed=seed)
    tower = diffusers_encoder().model
    export_model(out, model.state_dict(), model.config, vae=vae, tower=tower, weights="raw", step=step)
    return out


def random_picture(height: int, width: int, *, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_pictures(folder: Path, *, height: int = 40, width: int = 56) -> dict[str, Path]:
    """Write source.png, mask.png and exemplar.png."""
    mask = np.zeros((height, width), np.uint8)
    mask[10:24, 16:36] = 255
    pictures = {
        "source": random_picture(height, width),
        "mask": mask,
        "exemplar": random_picture(30, 20, seed=1),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in pictures}
