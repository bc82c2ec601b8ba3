"""What a training minimises: by the published formulas, reported in units of the noise, by default the paper's."""

from collections.abc import Callable
from dataclasses import replace

import diffusers
import pytest
import torch
from diffusers.training_utils import compute_snr
from hypothesis import given
from hypothesis import strategies as st

from pbe.batch import Batch
from pbe.model.diffusion import add_noise, noise_losses, objective_losses, predict_noise, weighted_loss
from pbe.model.objective import PAPER, Objective
from pbe.model.paint_by_example import PaintByExample
from pbe.model.prediction import Prediction, noise_of
from pbe.model.schedule import NOISE_SCHEDULE, scaled_linear_schedule
from tests.pbe.conftest import random_batch, random_model, tiny_config

SCHEDULE = scaled_linear_schedule()
THEIRS = diffusers.DDPMScheduler(**NOISE_SCHEDULE)
PREDICTIONS: tuple[Prediction, ...] = ("epsilon", "v")
STEPS = 20

seeds = st.integers(0, 2**31)


def predictions(batch: Batch, *, seed: int = 7) -> torch.Tensor:
    return torch.randn(batch.noise.shape, generator=torch.Generator().manual_seed(seed))


def predict(model: PaintByExample, batch: Batch) -> torch.Tensor:
    noisy = add_noise(batch.latents, batch.noise, batch.timesteps, SCHEDULE)
    context = model.conditioner(batch.exemplars, batch.drop)
    planes = {"masked_latents": batch.masked_latents, "masks": batch.masks}
    return predict_noise(model.unet, noisy, batch.timesteps, context, **planes)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_timesteps_weigh_as_the_published_min_snr_formula_says(prediction: Prediction) -> None:
    timesteps = torch.arange(1000)
    snr = compute_snr(THEIRS, timesteps)
    published = torch.minimum(snr, torch.tensor(5.0)) / (snr if prediction == "epsilon" else snr + 1)
    weights = Objective(prediction, min_snr=5).timestep_weights(timesteps, SCHEDULE)
    torch.testing.assert_close(weights, published, rtol=2e-4, atol=0)  # theirs divides rounded square roots
    assert Objective(prediction).timestep_weights(timesteps, SCHEDULE).eq(1).all()


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_objective_is_the_weighted_error_of_what_diffusers_schedulers_call_the_target(
    prediction: Prediction,
) -> None:
    batch = random_batch(4)
    predicted = predictions(batch)
    objective = Objective(prediction, min_snr=5, hole_weight=3)
    target = batch.noise
    if prediction == "v":
        target = THEIRS.get_velocity(batch.latents, batch.noise, batch.timesteps)
    losses = objective_losses(predicted, batch, SCHEDULE, objective)
    snr = compute_snr(THEIRS, batch.timesteps)
    for i in range(4):
        cells = 1 + 2 * batch.masks[i, 0]
        error = ((predicted[i] - target[i]) ** 2).mean(dim=0)
        weight = min(float(snr[i]), 5.0) / (float(snr[i]) + (prediction == "v"))
        expected = weight * (cells * error).sum() / cells.sum()
        torch.testing.assert_close(losses.objective[i], expected, rtol=1e-3, atol=1e-6)


@given(seeds)
def test_a_velocitys_losses_are_reported_as_those_of_the_noise_that_it_means(seed: int) -> None:
    batch = random_batch(3, seed=seed)
    predicted = predictions(batch, seed=seed)
    noisy = add_noise(batch.latents, batch.noise, batch.timesteps, SCHEDULE)
    expected = noise_losses(noise_of(predicted, noisy, batch.timesteps, SCHEDULE, "v"), batch.noise, batch.masks)
    velocities = objective_losses(predicted, batch, SCHEDULE, Objective("v"))
    alpha_bar = SCHEDULE.alphas_cumprod[batch.timesteps]
    torch.testing.assert_close(velocities.per_sample, alpha_bar * velocities.objective.detach())
    for name in ("per_sample", "inside", "outside"):
        torch.testing.assert_close(getattr(velocities, name), getattr(expected, name), rtol=2e-3, atol=1e-5)


@given(seeds, st.floats(0.5, 20))
def test_min_snr_weighs_noise_and_velocities_alike(seed: int, gamma: float) -> None:
    batch = random_batch(3, seed=seed)
    predicted = predictions(batch, seed=seed)
    noisy = add_noise(batch.latents, batch.noise, batch.timesteps, SCHEDULE)
    noise = noise_of(predicted, noisy, batch.timesteps, SCHEDULE, "v")
    of_v = objective_losses(predicted, batch, SCHEDULE, Objective("v", min_snr=gamma, hole_weight=2)).objective
    of_noise = objective_losses(noise, batch, SCHEDULE, Objective(min_snr=gamma, hole_weight=2)).objective
    torch.testing.assert_close(of_v, of_noise, rtol=2e-3, atol=1e-5)


@given(seeds, st.floats(0.25, 8))
def test_the_hole_pulls_as_much_harder_as_it_weighs(seed: int, weight: float) -> None:
    batch = random_batch(2, seed=seed)
    predicted = predictions(batch, seed=seed).requires_grad_()
    objective_losses(predicted, batch, SCHEDULE, Objective(hole_weight=weight)).objective.sum().backward()
    cells = 1 + (weight - 1) * batch.masks
    error = predicted.detach() - batch.noise
    expected = 2 * error * cells / cells.sum(dim=(1, 2, 3), keepdim=True) / error.shape[1]
    torch.testing.assert_close(predicted.grad, expected, rtol=1e-4, atol=1e-8)


def test_what_is_reported_does_not_depend_on_what_is_minimised() -> None:
    batch = random_batch(3)
    predicted = predictions(batch).requires_grad_()
    paper, other = (objective_losses(predicted, batch, SCHEDULE, each) for each in (PAPER, Objective("epsilon", 5, 3)))
    for name in ("per_sample", "inside", "outside"):
        assert torch.equal(getattr(paper, name), getattr(other, name))
    assert paper.objective is paper.per_sample
    assert other.objective.requires_grad and not other.per_sample.requires_grad


def test_by_default_20_steps_have_the_losses_and_weights_of_the_plain_error_of_the_noise() -> None:
    def plainly(model: PaintByExample, batch: Batch) -> torch.Tensor:
        return (predict(model, batch) - batch.noise).square().mean(dim=(1, 2, 3))

    def train(loss_of: Callable[[PaintByExample, Batch], torch.Tensor]) -> tuple[list[float], torch.Tensor]:
        model, losses = random_model(tiny_config()), []
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        for step in range(STEPS):
            batch = random_batch(1, seed=step)
            each = loss_of(model, batch)
            weighted_loss(each, batch.weights, valid=1.0, shares=1).backward()
            optimizer.step()
            optimizer.zero_grad()
            losses += each.tolist()
        return losses, torch.cat([p.detach().flatten() for p in model.parameters()])

    (found, weights), (expected, expected_weights) = train(lambda model, batch: model(batch).objective), train(plainly)
    assert found == expected
    assert torch.equal(weights, expected_weights)


def test_a_model_of_velocities_is_trained_and_judged_as_one() -> None:
    batch, model = random_batch(2), random_model(replace(tiny_config(), prediction="v"))
    losses = model(batch)
    target = THEIRS.get_velocity(batch.latents, batch.noise, batch.timesteps)
    error = (predict(model, batch) - target).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(losses.objective, error, rtol=1e-3, atol=0)
    torch.testing.assert_close(losses.per_sample, THEIRS.alphas_cumprod[batch.timesteps] * error, rtol=1e-3, atol=0)
