"""The steps of ADM's schedule: where they lie, and what holds between them."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbe.evaluation.methods.blended.schedule import STEPS, TIMESTEPS, respaced_steps


def test_the_75_steps_of_blended_diffusion_begin_at_timestep_747_and_end_at_0() -> None:
    steps = respaced_steps()
    assert [step.timestep for step in steps[:3]] == [747, 737, 727]
    assert [step.timestep for step in steps[-3:]] == [20, 10, 0]
    assert len(steps) == 75


@given(steps=st.integers(2, TIMESTEPS), skipped=st.integers(0, 900))
def test_each_step_begins_with_the_noise_that_the_one_before_left(steps: int, skipped: int) -> None:
    made = respaced_steps(steps, min(skipped, steps - 1))
    assert len(made) == steps - min(skipped, steps - 1)
    assert [step.last for step in made] == [False] * (len(made) - 1) + [True]
    for before, step in pairwise(made):
        assert before.timestep > step.timestep
        assert before.alpha_bar_after == step.alpha_bar


def test_the_respaced_noise_is_that_of_the_complete_schedule() -> None:
    betas = np.linspace(1e-4, 0.02, TIMESTEPS)
    for step in respaced_steps(STEPS, 0):
        assert step.alpha_bar == pytest.approx(math.prod(1 - betas[: step.timestep + 1]), rel=1e-12)


@given(picture=st.floats(-1, 1), number=st.integers(0, 74))
def test_a_step_leads_from_the_distribution_of_a_picture_to_its_next_one(picture: float, number: int) -> None:
    """q(x_{t-1} | x_0), from q(x_t | x_0) through the posterior: mean and variance agree."""
    step = respaced_steps()[number]
    of_picture, of_noisy = step.mean_weights
    mean = of_picture * picture + of_noisy * math.sqrt(step.alpha_bar) * picture
    assert mean == pytest.approx(math.sqrt(step.alpha_bar_after) * picture, abs=1e-12)
    if not step.last:
        variance = of_noisy**2 * (1 - step.alpha_bar) + math.exp(step.log_variances[0])
        assert variance == pytest.approx(1 - step.alpha_bar_after, rel=1e-9)
        assert step.log_variances[0] < step.log_variances[1] == pytest.approx(math.log(step.beta))
