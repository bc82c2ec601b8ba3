"""Sampling: guidance, schedulers, noise."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.model.finite import finite_rows
from pbe.model.paint_by_example import PaintByExample
from pbe.model.prediction import Prediction
from pbe.model.sampler import SCHEDULERS, Conditions, initial_noise, make_scheduler, sample
from pbe.model.schedule import scaled_linear_schedule
from tests.pbe.conftest import CHANNELS, LATENT, WIDTH

SHAPE = (CHANNELS, LATENT, LATENT)


@pytest.fixture
def conditions(model: PaintByExample) -> Conditions:
    g = torch.Generator().manual_seed(3)
    context = model.conditioner(torch.randn(2, WIDTH, generator=g)).detach()
    masked = torch.randn((2, *SHAPE), generator=g)
    masks = torch.rand((2, 1, LATENT, LATENT), generator=g)
    return Conditions(context, model.conditioner.unconditional(context).detach(), masked, masks)


def test_guidance_1_skips_the_unconditional_half(model: PaintByExample, conditions: Conditions) -> None:
    batches: list[int] = []
    model.unet.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))
    for guidance, batch in ((1.0, 2), (5.0, 4)):
        batches.clear()
        sample(model.unet, make_scheduler("ddim", steps=3), initial_noise(SHAPE, [0, 1]), conditions, guidance=guidance)
        assert batches == [batch] * 3


@pytest.mark.parametrize(("name", "calls"), [("pndm", 51), ("ddim", 50), ("dpmpp", 50)])
def test_fifty_steps_call_the_unet_as_often_as_documented(name: Any, calls: int) -> None:
    assert len(make_scheduler(name, steps=50).timesteps) == calls


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_have_the_noise_schedule_of_the_training(name: Any) -> None:
    torch.testing.assert_close(
        make_scheduler(name, steps=10).alphas_cumprod, scaled_linear_schedule().alphas_cumprod, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_model_that_knows_the_noise_arrives_at_its_latents(name: Any, conditions: Conditions) -> None:
    """With the true noise of one latent as prediction, every scheduler must find that latent."""
    target = torch.randn((2, *SHAPE), generator=torch.Generator().manual_seed(1))
    alpha_bar = scaled_linear_schedule().alphas_cumprod

    def oracle(stacked: torch.Tensor, timestep: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        a = alpha_bar[timestep]
        return ((stacked[:, :CHANNELS] - a.sqrt() * target) / (1 - a).sqrt(),)

    noise = initial_noise(SHAPE, [0, 1])
    seen: list[torch.Tensor] = []
    found = sample(oracle, make_scheduler(name, steps=50), noise, conditions, guidance=1, on_step=seen.append)
    assert len(seen) >= 50
    for clean in seen:  # at every step, the noise aside, that latent is what the prediction means
        torch.testing.assert_close(clean, target, atol=1e-3, rtol=1e-3)
    assert (found - target).abs().max() < 0.15  # the last step leaves the noise of timestep 0: 0.03 standard deviations


def test_guidance_goes_from_unconditional_through_conditional_and_on(
    model: PaintByExample, conditions: Conditions
) -> None:
    """Eq. 6 of classifier-free guidance, after one DDIM step, which is linear in the prediction."""
    noise = initial_noise(SHAPE, [0, 1])

    def once(guidance: float, context: torch.Tensor) -> torch.Tensor:
        shown = Conditions(context, conditions.unconditional, conditions.masked_latents, conditions.masks)
        return sample(model.unet, make_scheduler("ddim", steps=1), noise, shown, guidance=guidance)

    conditional, unconditional = once(1, conditions.context), once(1, conditions.unconditional)
    expected = unconditional + 3 * (conditional - unconditional)
    torch.testing.assert_close(once(3, conditions.context), expected, atol=1e-4, rtol=1e-4)
    assert (conditional - unconditional).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["ddim", "dpmpp"])
def test_velocities_are_stepped_as_by_diffusers_own_conversion(
    name: Any, model: PaintByExample, conditions: Conditions
) -> None:
    """These two step with one timestep's prediction, so that either way is exact; guidance commutes with both."""
    made = [
        sample(
            model.unet,
            make_scheduler(name, steps=8, takes=takes),  # type: ignore[arg-type]
            initial_noise(SHAPE, [0, 1]),
            conditions,
            guidance=3,
            prediction="v",
        )
        for takes in ("epsilon", "v")
    ]
    torch.testing.assert_close(*made, atol=1e-4, rtol=1e-4)
    assert made[0].std() > 0.1


def _error_on_gaussians(
    prediction: Prediction, name: Any, *, std: float, steps: int = 20, takes: Prediction = "epsilon"
) -> float:
    """Sample N(0.3, std^2), whose score is known, and compare with the exact probability flow: root mean square."""
    scheduler = make_scheduler(name, steps=steps, takes=takes)
    alpha_bar, mean = scheduler.alphas_cumprod, 0.3

    def exact(stacked: torch.Tensor, timestep: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        a, noisy = alpha_bar[timestep], stacked[:, :1]
        noise = (1 - a).sqrt() * (noisy - a.sqrt() * mean) / (a * std**2 + 1 - a)
        latents = (noisy - (1 - a).sqrt() * noise) / a.sqrt()
        return (noise if prediction == "epsilon" else a.sqrt() * noise - (1 - a).sqrt() * latents,)

    noise, nothing = initial_noise((1, 16, 16), [0]), torch.zeros(1, 1, 16, 16)
    shown = Conditions(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), nothing, nothing)
    found = sample(exact, scheduler, noise, shown, guidance=1, prediction=prediction)
    first, last = alpha_bar[scheduler.timesteps[0]], alpha_bar[0]
    unit = (noise - first.sqrt() * mean) / (first * std**2 + 1 - first).sqrt()
    return float((found - last.sqrt() * mean - unit * (last * std**2 + 1 - last).sqrt()).square().mean().sqrt())


@pytest.mark.parametrize("name", SCHEDULERS)
@given(std=st.floats(0.1, 2), steps=st.integers(2, 60))
@settings(max_examples=5, deadline=None)
def test_velocities_lead_to_the_same_latents_as_noise(name: Any, std: float, steps: int) -> None:
    errors = [_error_on_gaussians(each, name, std=std, steps=steps) for each in ("epsilon", "v")]  # type: ignore[arg-type]
    assert errors[1] == pytest.approx(errors[0], rel=0.01, abs=1e-4)


@pytest.mark.parametrize("std", [0.3, 0.5, 1.0])
def test_plms_that_averages_velocities_errs_twice_as_much(std: float) -> None:
    ours, diffusers = (_error_on_gaussians("v", "pndm", std=std, takes=takes) for takes in ("epsilon", "v"))  # type: ignore[arg-type]
    assert diffusers > 2 * ours


@pytest.mark.parametrize("name", SCHEDULERS)
def test_velocities_that_are_not_finite_spoil_their_own_picture_alone(
    name: Any, model: PaintByExample, conditions: Conditions
) -> None:
    sound, spoilt = initial_noise(SHAPE, [0, 1]), initial_noise(SHAPE, [0, 1])
    spoilt[1, 0, 0, 0] = torch.inf
    made = [
        sample(model.unet, make_scheduler(name, steps=2), noise, conditions, guidance=3, prediction="v")
        for noise in (sound, spoilt)
    ]
    assert finite_rows(made[0]) == [True, True] and finite_rows(made[1]) == [True, False]
    assert torch.equal(made[0][0], made[1][0])


@pytest.mark.parametrize(("steps", "left_out"), [(20, []), (50, []), (30, [991]), (60, [961, 977, 993])])
def test_where_steps_do_not_divide_1000_the_original_plms_visits_more_timesteps(
    steps: int, left_out: list[int]
) -> None:
    """It takes all of range(0, 1000, 1000 // steps), plus 1; diffusers' schedulers, and so ours, the lowest `steps`."""
    original = range(1, 1001, 1000 // steps)
    visited = sorted(set(make_scheduler("pndm", steps=steps).timesteps.tolist()))
    assert len(visited) == steps and [*visited, *left_out] == list(original)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5, unique=True))
def test_a_pictures_noise_depends_on_its_seed_alone(seeds: list[int]) -> None:
    together = initial_noise((2, 3, 3), seeds)
    assert all(
        torch.equal(noise, initial_noise((2, 3, 3), [seed])[0]) for noise, seed in zip(together, seeds, strict=True)
    )
    assert len({tuple(noise.flatten().tolist()) for noise in together}) == len(seeds)


def test_half_precision_unets_are_sampled_in_float32_latents(model: PaintByExample, conditions: Conditions) -> None:
    half = Conditions(
        conditions.context.bfloat16(), conditions.unconditional.bfloat16(), conditions.masked_latents, conditions.masks
    )
    latents = sample(
        model.unet.to(torch.bfloat16), make_scheduler("ddim", steps=2), initial_noise(SHAPE, [0, 1]), half, guidance=5
    )
    assert latents.dtype == torch.float32 and torch.isfinite(latents).all()
