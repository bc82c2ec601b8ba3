"""What is seen of a step: which samples' losses are not finite, and why."""

from dataclasses import replace

import pytest
import torch

from pbe.training.observations import Observations, name_odd, observe, say_odd
from tests.pbe.conftest import BatchMaker, random_model, tiny_config


@pytest.mark.parametrize(
    ("spoilt", "culprit"),
    [("latents", "latents"), ("masked_latents", "masked latents"), ("exemplars", "exemplar"), ("", "the model")],
)
def test_a_sample_whose_loss_is_not_finite_is_named_with_what_of_it_is_not(
    make_batch: BatchMaker, spoilt: str, culprit: str
) -> None:
    batch = make_batch(4, drop=torch.zeros(4, dtype=torch.bool), weights=torch.tensor([1.0, 1.0, 1.0, 0.0]))
    if spoilt:
        getattr(batch, spoilt)[1:].reshape(-1)[0] = torch.nan
    losses = random_model(tiny_config())(batch)
    if not spoilt:
        losses = replace(losses, per_sample=losses.per_sample.index_fill(0, torch.tensor([1, 3]), torch.inf))
    assert name_odd(batch, observe(batch, losses)) == [f"photo-0-1 ({culprit})"]


def test_what_is_minimised_counts_and_is_named_as_the_loss_is(make_batch: BatchMaker) -> None:
    batch = make_batch(2)
    losses = random_model(tiny_config())(batch)
    overflown = replace(losses, objective=losses.objective.detach() * torch.tensor([2.0, torch.inf]))
    rows = observe(batch, overflown)
    assert name_odd(batch, rows) == ["photo-0-1 (the model)"]
    assert not Observations(rows).finite and Observations(observe(batch, losses)).finite
    assert Observations(rows[:1]).mean("objective") == 2 * Observations(rows[:1]).mean("loss")


def test_of_many_such_samples_only_the_first_are_named() -> None:
    assert say_odd([f"k{number}" for number in range(10)]).endswith(
        "the loss of k0, k1, k2, k3, k4, k5, k6, k7 and 2 more"
    )
