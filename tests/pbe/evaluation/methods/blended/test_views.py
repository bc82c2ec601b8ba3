"""Views of a picture: the first is itself, others show its colours or grey, with the same gradient again."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.methods.blended.views import VIEWS, make_views


def _picture(side: int = 40) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) + 1  # nowhere grey


def test_the_first_view_is_the_picture_itself() -> None:
    picture = _picture()
    views = make_views(picture, 40, np.random.default_rng(0))
    assert views.shape == (VIEWS, 3, 40, 40)
    assert torch.equal(views[:1], picture)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**63), side=st.integers(8, 48))
def test_a_view_shows_the_pictures_colours_or_grey(seed: int, side: int) -> None:
    views = make_views(torch.full((1, 3, 40, 40), 0.75), side, np.random.default_rng(seed))
    grey = views == 0
    torch.testing.assert_close(views[~grey], torch.full_like(views[~grey], 0.75))
    assert grey.float().mean(dim=(1, 2, 3)).max() < 0.95


def test_most_views_differ_and_some_are_tilted() -> None:
    views = torch.cat([make_views(_picture(), 40, np.random.default_rng(seed))[1:] for seed in range(20)])
    tilted = (views == 0).flatten(1).any(dim=1).float().mean()
    untouched = (views - _picture()).abs().flatten(1).amax(dim=1) < 1e-4
    assert 0.55 < tilted < 0.85  # a chance of 0.7
    assert 0.02 < untouched.float().mean() < 0.18  # 0.3 * 0.3


def test_equal_generators_give_equal_views_and_gradients() -> None:
    slopes = []
    for _ in range(2):
        picture = _picture().requires_grad_()
        make_views(picture, 24, np.random.default_rng(4)).square().sum().backward()
        slopes.append(picture.grad)
    assert slopes[0] is not None and torch.equal(slopes[0], slopes[1])
    assert (slopes[0] != 0).all()
