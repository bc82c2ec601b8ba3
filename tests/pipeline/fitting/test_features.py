import pytest
import torch

from pipeline.errors import InputError
from pipeline.fitting.features import FeatureMoments

GROUPS = [2, 30]


def vectors(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(count, 12, generator=generator) @ torch.randn(12, sum(GROUPS), generator=generator)
    return mixed + 0.1 * torch.randn(count, sum(GROUPS), generator=generator) + 3


def test_the_vectors_of_the_fit_become_white() -> None:
    moments, all_vectors = FeatureMoments(sum(GROUPS)), vectors(200)
    for some in all_vectors.split(64):
        moments.add(some)
    fitted = moments.components(8, GROUPS)
    white = all_vectors.double() @ fitted.weight.T + fitted.bias
    torch.testing.assert_close(white.mean(dim=0), torch.zeros(8, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(white.T @ white / 200, torch.eye(8, dtype=torch.float64), atol=1e-6, rtol=0)
    assert 0.5 < fitted.share < 1


def test_a_small_group_has_its_share() -> None:
    """Two numbers beside 30 decide the first components as much as those do."""
    moments = FeatureMoments(sum(GROUPS))
    moments.add(torch.randn(500, sum(GROUPS), generator=torch.Generator().manual_seed(0)))
    first = moments.components(2, GROUPS).weight.abs()
    assert first[:, :2].min() > first[:, 2:].max()


def test_fewer_pictures_than_numbers_are_refused() -> None:
    moments = FeatureMoments(sum(GROUPS))
    moments.add(vectors(8))
    with pytest.raises(InputError, match="--dimension 8: 8 pictures"):
        moments.components(8, GROUPS)


@pytest.mark.parametrize(("spread", "seen"), [(3e-3, 7), (0.0, 1), (float("nan"), 1)])
def test_rounding_is_no_component_nor_is_what_is_not_finite(spread: float, seen: int) -> None:
    """Of 40 pictures that are each seen several times, 39 components are real."""
    moments = FeatureMoments(sum(GROUPS))
    wide = torch.randn(40, sum(GROUPS), generator=torch.Generator().manual_seed(0)) * spread + 5
    moments.add(wide.repeat_interleave(seen, 0))
    with pytest.raises(InputError, match=r"--dimension \d+: \d+ pictures"):
        moments.components(min(40, 40 * seen - 1), GROUPS)
