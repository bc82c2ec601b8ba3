"""Noise, losses and their normalisation."""

import diffusers
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pbe.model.diffusion import add_noise, noise_losses, training_loss, weighted_loss
from pbe.model.paint_by_example import PaintByExample
from pbe.model.schedule import scaled_linear_schedule
from tests.pbe.conftest import CHANNELS, LATENT, BatchMaker


def test_noise_is_that_of_stable_diffusion() -> None:
    theirs = diffusers.DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    latents, noise = torch.randn(1000, 4, 2, 2), torch.randn(1000, 4, 2, 2)
    timesteps = torch.arange(1000)
    expected = theirs.add_noise(latents, noise, timesteps)
    torch.testing.assert_close(
        add_noise(latents, noise, timesteps, scaled_linear_schedule()), expected, atol=1e-5, rtol=0
    )


def test_training_loss_is_the_stock_denoising_error(model: PaintByExample, make_batch: BatchMaker) -> None:
    batch = make_batch()
    losses = training_loss(model.unet, model.conditioner, batch, scaled_linear_schedule())
    for i in range(3):
        uncond = bool(batch.drop[i])
        features = batch.exemplars[i : i + 1]
        context = model.conditioner.uncond_vector if uncond else model.conditioner(features)
        noisy = add_noise(batch.latents, batch.noise, batch.timesteps, scaled_linear_schedule())[i]
        stacked = torch.cat([noisy, batch.masked_latents[i], 1 - batch.masks[i]])[None]
        predicted = model.unet(stacked, batch.timesteps[i], encoder_hidden_states=context).sample[0]
        expected = torch.nn.functional.mse_loss(predicted, batch.noise[i])
        torch.testing.assert_close(losses.per_sample[i], expected, atol=1e-5, rtol=1e-5)


def test_a_sample_does_not_depend_on_its_batch(model: PaintByExample, make_batch: BatchMaker) -> None:
    batch = make_batch()
    first = batch.take(torch.tensor([True, False, False]))
    torch.testing.assert_close(model(first).per_sample, model(batch).per_sample[:1], atol=1e-5, rtol=1e-5)


@given(st.integers(0, 2**31))
def test_inside_and_outside_add_up_to_the_whole(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    predicted, noise = (
        torch.randn(2, CHANNELS, LATENT, LATENT, generator=g),
        torch.randn(2, CHANNELS, LATENT, LATENT, generator=g),
    )
    masks = torch.rand(2, 1, LATENT, LATENT, generator=g)
    losses = noise_losses(predicted, noise, masks)
    hole = masks.mean(dim=(1, 2, 3))
    torch.testing.assert_close(
        losses.inside * hole + losses.outside * (1 - hole), losses.per_sample, atol=1e-4, rtol=1e-4
    )


def test_loss_outside_the_hole_ignores_what_is_inside() -> None:
    masks = torch.zeros(1, 1, 4, 4)
    masks[..., :2, :] = 1
    error = torch.where(masks.bool(), 3.0, 0.5).expand(1, 4, 4, 4)
    losses = noise_losses(error, torch.zeros(1, 4, 4, 4), masks)
    assert (losses.inside.item(), losses.outside.item()) == (9.0, 0.25)
    assert noise_losses(error, error, torch.zeros_like(masks)).inside.isnan().all()


@pytest.mark.parametrize("sizes", [[6], [3, 3], [1, 2, 3]])
def test_however_a_batch_is_cut_the_loss_is_the_mean_over_valid_samples(sizes: list[int]) -> None:
    losses = torch.tensor([1.0, 2.0, float("nan"), 4.0, 5.0, 6.0])
    weights = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    parts = zip(losses.split(sizes), weights.split(sizes), strict=True)
    shares = [weighted_loss(part, weight, valid=4.0, shares=len(sizes)) for part, weight in parts]
    torch.testing.assert_close(torch.stack(shares).mean(), torch.tensor(13 / 4))


def test_a_batch_without_valid_samples_has_loss_zero() -> None:
    assert weighted_loss(torch.ones(2), torch.zeros(2), valid=0.0, shares=2) == 0
