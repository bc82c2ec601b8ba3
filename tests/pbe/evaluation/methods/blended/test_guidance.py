"""The distance that guides: an angle, with a slope everywhere; the same for a case and step, whatever came before."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pbe.evaluation.methods.blended.guidance import CLIP_WEIGHT, ClipGuide, spherical_distance
from pbe.evaluation.methods.blended.schedule import respaced_steps


@given(angle=st.floats(0, 3.1), lengths=st.tuples(st.floats(0.1, 100), st.floats(0.1, 100)))
def test_the_distance_is_half_the_squared_angle_whatever_the_lengths(
    angle: float, lengths: tuple[float, float]
) -> None:
    one = lengths[0] * torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    other = lengths[1] * torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    assert float(spherical_distance(one, other)) == pytest.approx(angle**2 / 2, abs=1e-9)


@pytest.mark.parametrize("vector", [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
def test_the_distance_has_a_finite_slope_at_equal_and_opposite_vectors(vector: list[float]) -> None:
    moving = torch.tensor([vector], requires_grad=True)
    spherical_distance(moving, torch.tensor([[1.0, 0.0]])).sum().backward()
    assert moving.grad is not None and torch.isfinite(moving.grad).all()


def test_a_step_of_a_case_is_guided_alike_whatever_came_before_and_other_steps_by_other_views() -> None:
    target = torch.tensor([[1.0, 2.0, 3.0]])
    seen = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    steps = respaced_steps(10, 0)
    guide = ClipGuide(lambda pictures: pictures.mean(dim=(2, 3)), target, side=8, seed=1)
    first, other, again = (float(guide(seen, step)) for step in (steps[0], steps[1], steps[0]))
    assert first == again != other
    assert 0 < first < CLIP_WEIGHT * math.pi**2 / 2
    assert float(ClipGuide(guide.encode, target, side=8, seed=2)(seen, steps[0])) != first
