"""The sampler, on data whose noise is known in closed form: what is painted, what is kept, and what guidance moves."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.methods.blended.sampler import PixelModel, paint, range_loss
from pbe.evaluation.methods.blended.schedule import Step, respaced_steps

SIDE = 64
STEPS = respaced_steps(20, 5)


def gaussian(mean: float, std: float, *, between: float = -1) -> PixelModel:
    """Make the model of pixels that are independent and normal; a log variance at its lower bound is the true one."""
    alpha_bars = {step.timestep: step.alpha_bar for step in STEPS}

    def predict(noisy: torch.Tensor, timestep: int) -> tuple[torch.Tensor, torch.Tensor]:
        signal = alpha_bars[timestep]
        spread = signal * std**2 + 1 - signal
        noise = math.sqrt(1 - signal) * (noisy - math.sqrt(signal) * mean) / spread
        return noise, torch.full_like(noise, between)

    return predict


def no_guide(seen: torch.Tensor, step: Step) -> torch.Tensor:
    return 0 * seen.sum()


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


EVERYWHERE = torch.ones(1, 1, SIDE, SIDE)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**63), share=st.floats(0, 1))
def test_outside_the_hole_every_number_is_the_sources(seed: int, share: float) -> None:
    source = picture(1)
    hole = (picture(seed % 1000)[:, :1] < 2 * share - 1).float()
    painted = paint(gaussian(0.3, 0.2), no_guide, source, hole, steps=STEPS, seed=seed)
    kept = hole.expand_as(source) == 0
    assert torch.equal(painted[kept], source[kept])
    assert not (painted == source)[~kept].any()


def test_where_all_pictures_are_one_that_one_is_painted() -> None:
    hole = torch.zeros(1, 1, SIDE, SIDE)
    hole[..., 10:30, 20:50] = 1
    painted = paint(gaussian(-0.4, 0.0), no_guide, picture(), hole, steps=STEPS, seed=3)
    torch.testing.assert_close(painted[..., 10:30, 20:50], torch.full((1, 3, 20, 30), -0.4), rtol=0, atol=1e-5)


@pytest.mark.parametrize("between", [-1.0, 0.0, 1.0])
def test_what_is_painted_has_the_mean_and_spread_that_follow_from_the_data(between: float) -> None:
    mean, std = 0.25, 0.15
    painted = paint(gaussian(mean, std, between=between), no_guide, 0 * picture(), EVERYWHERE, steps=STEPS, seed=5)
    centre, variance = _expected(mean, std, between)
    count = painted.numel()
    assert centre == pytest.approx(mean, abs=1e-4)
    assert float(painted.mean()) == pytest.approx(centre, abs=4 * math.sqrt(variance / count))
    assert float(painted.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / count))


def test_the_spread_of_the_data_lies_between_those_of_both_bounds_of_the_variance() -> None:
    least, most = (math.sqrt(_expected(0.25, 0.15, between)[1]) for between in (-1, 1))
    assert least < 0.15 < most


def test_guidance_moves_what_is_painted_by_variance_times_the_slope_through_the_model() -> None:
    """With equal noise, the painting with a guide minus that without one follows from step to step."""
    mean, std, weight = 0.0, 0.2, 0.03
    model, source = gaussian(mean, std), 0 * picture()
    guided = paint(model, lambda seen, step: weight * seen.sum(), source, EVERYWHERE, steps=STEPS, seed=7)
    free = paint(model, no_guide, source, EVERYWHERE, steps=STEPS, seed=7)
    moved = 0.0
    for step in STEPS:
        slope, _ = _prediction(step, mean, std)
        of_picture, of_noisy = (1.0, 0.0) if step.last else step.mean_weights
        seen = step.noise_share * slope + 1 - step.noise_share
        moved = (of_picture * slope + of_noisy) * moved
        moved -= 0 if step.last else math.exp(step.log_variances[0]) * weight * seen
    assert moved < -0.001
    torch.testing.assert_close(guided - free, torch.full_like(free, moved), rtol=0, atol=2e-6)


def test_colours_out_of_range_cost_the_square_of_how_far_they_are() -> None:
    assert range_loss(torch.tensor([[[[-1.0, 1.0, 0.3, 0.0]]]])) == 0
    assert range_loss(torch.tensor([[[[-1.5, 3.0, 0.3, 0.0]]]])) == pytest.approx((0.25 + 4) / 4)


def test_a_seed_gives_its_painting_again_and_another_seed_another_one() -> None:
    model = gaussian(0.0, 0.2)
    first, again, other = (paint(model, no_guide, picture(), EVERYWHERE, steps=STEPS, seed=s) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def _prediction(step: Step, mean: float, std: float) -> tuple[float, float]:
    """Return slope and offset of the picture that is predicted, as a function of x_t."""
    spread = step.alpha_bar * std**2 + 1 - step.alpha_bar
    return math.sqrt(step.alpha_bar) * std**2 / spread, (1 - step.alpha_bar) * mean / spread


def _expected(mean: float, std: float, between: float) -> tuple[float, float]:
    """Return mean and variance of what is painted over grey, from step to step: each is linear in x_t."""
    centre, variance = 0.0, 1 - STEPS[0].alpha_bar
    for step in STEPS:
        slope, offset = _prediction(step, mean, std)
        of_picture, of_noisy = (1.0, 0.0) if step.last else step.mean_weights
        centre = (of_picture * slope + of_noisy) * centre + of_picture * offset
        variance *= (of_picture * slope + of_noisy) ** 2
        if not step.last:
            least, most = step.log_variances
            variance += math.exp(least + (between + 1) / 2 * (most - least))
    return centre, variance
