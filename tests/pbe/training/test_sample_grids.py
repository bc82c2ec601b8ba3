"""Sample grids paint with what a model predicts."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pbe.model.sampler import Conditions, initial_noise, make_scheduler, sample
from pbe.training.sample_grids import STEPS, GridSamples, paint_grid
from pipeline.encoders.latents import decode
from tests.pbe.conftest import CHANNELS, LATENT, random_batch, random_model, tiny_config


def test_a_grid_of_a_model_of_velocities_is_what_its_scheduler_would_paint(ldm_vae_module: Any) -> None:
    model, batch = random_model(replace(tiny_config(), prediction="v")), random_batch(1)
    samples = GridSamples(batch, [np.zeros((224, 224, 3), np.uint8)])
    grid = paint_grid(model.config, model.state_dict(), ldm_vae_module, samples, at_once=1, seed=4)
    with torch.no_grad():
        context = model.conditioner(batch.exemplars)
        shown = Conditions(context, model.conditioner.unconditional(context), batch.masked_latents, batch.masks)
        scheduler, noise = (
            make_scheduler("dpmpp", steps=STEPS, takes="v"),
            initial_noise((CHANNELS, LATENT, LATENT), [4]),
        )
        latents = sample(model.unet, scheduler, noise, shown, guidance=3, prediction="v")
        [expected] = (decode(ldm_vae_module, latents) * 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(grid.painted[3.0][0] - expected).max() <= 1 and expected.std() > 1
