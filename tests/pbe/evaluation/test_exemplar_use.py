"""Exemplar use: what the measurement must say of models whose use of the exemplar is known."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pbe.batch import Batch
from pbe.evaluation.exemplar_use import (
    CONDITIONS,
    OTHER,
    RIGHT,
    SAME_CLASS,
    UNCONDITIONAL,
    ExemplarUse,
    measure_exemplar_use,
    swap_within,
)
from pbe.model.diffusion import Losses, noise_losses
from pbe.model.paint_by_example import PaintByExample
from tests.pbe.conftest import BatchMaker

CLASSES = ["cat", "dog", "cat", "dog", "cup", "cat"]


def knower(batch: Batch) -> Losses:
    """A model that errs by 1 with another's exemplar, by 0.5 without one, by 0.1 with the right one, at any t."""
    own = batch.exemplars[:, 0] == batch.latents[:, 0, 0, 0]
    error = torch.where(batch.drop, 0.5, torch.where(own, 0.1, 1.0)).view(-1, 1, 1, 1)
    return noise_losses(batch.noise + error, batch.noise, batch.masks)


def marked_batches(make_batch: BatchMaker) -> list[Batch]:
    """Two batches of three, in which exemplar and latent of a sample share a number."""
    batches = [make_batch(seed=0), make_batch(seed=1)]
    for batch in batches:
        batch.exemplars[:, 0] = batch.latents[:, 0, 0, 0]
    return batches


def test_a_model_that_ignores_its_exemplar_has_ratio_exactly_1(model: PaintByExample, make_batch: BatchMaker) -> None:
    torch.nn.init.zeros_(model.conditioner.proj_out.weight)
    torch.nn.init.zeros_(model.conditioner.proj_out.bias)
    torch.nn.init.zeros_(model.conditioner.uncond_vector)
    use = measure_exemplar_use(model, [make_batch(seed=0), make_batch(seed=1)], classes=CLASSES)
    for at in use.timesteps:
        for condition in CONDITIONS:
            assert dataclasses.astuple(use.ratio(condition, at)) == (1, 1, 1)
            assert dataclasses.astuple(use.gain(condition, at)) == (0, 0, 0)


def test_a_model_that_knows_the_right_exemplar_is_told_from_one_that_does_not(make_batch: BatchMaker) -> None:
    use = measure_exemplar_use(knower, marked_batches(make_batch), classes=CLASSES, timesteps=(750,))
    assert use.ratio(OTHER, 750).low == pytest.approx(100, rel=1e-3)
    assert use.ratio(SAME_CLASS, 750).value == pytest.approx(100, rel=1e-3)
    assert use.gain(UNCONDITIONAL, 750).low == pytest.approx(0.24, rel=1e-3)
    assert use.photos(RIGHT) == 6
    assert use.photos(SAME_CLASS) == 5  # the cup is alone


def test_only_the_hole_counts(make_batch: BatchMaker) -> None:
    def careless(batch: Batch) -> Losses:
        wrong = batch.noise + 9 * (1 - batch.masks) + 2 * batch.masks
        return noise_losses(wrong, batch.noise, batch.masks)

    masks = torch.zeros(3, 1, 8, 8)
    masks[:, :, 2:5, 3:7] = 1
    use = measure_exemplar_use(careless, [make_batch(masks=masks)], classes=CLASSES[:3])
    assert use.mean(RIGHT, 750) == pytest.approx(4)


def test_empty_slots_are_passed_over(make_batch: BatchMaker) -> None:
    whole, last = marked_batches(make_batch)
    last = dataclasses.replace(last, weights=torch.tensor([1.0, 0, 1]), keys=["a", "", "b"])
    use = measure_exemplar_use(knower, [whole, last], classes=CLASSES[:5], timesteps=(500,))
    assert use.keys == [*whole.keys, "a", "b"]
    assert use.ratio(OTHER, 500).value == pytest.approx(100, rel=1e-3)
    with pytest.raises(ValueError, match="5 samples with 6 classes"):
        measure_exemplar_use(knower, [whole, last], classes=CLASSES)


def test_every_condition_sees_the_same_noise(make_batch: BatchMaker) -> None:
    seen: dict[int, list[torch.Tensor]] = {}

    def watch(batch: Batch) -> Losses:
        assert batch.timesteps.unique().numel() == 1
        seen.setdefault(int(batch.timesteps[0]), []).append(batch.noise)
        return noise_losses(batch.noise, batch.noise, batch.masks)

    batch = make_batch()
    measure_exemplar_use(watch, [batch], classes=CLASSES[:3])
    assert all(len(noises) == len(CONDITIONS) for noises in seen.values())
    assert all(torch.equal(noise, batch.noise) for noises in seen.values() for noise in noises)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.integers(0, 5))
def test_partners_are_others_of_the_same_class_each_taken_once(classes: list[str], seed: int) -> None:
    partners = swap_within(classes, seed=seed)
    assert sorted(partners) == list(range(len(classes)))
    for number, partner in enumerate(partners):
        assert classes[partner] == classes[number]
        assert (partner == number) == (classes.count(classes[number]) == 1)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for trial in range(40):
        rng = np.random.default_rng(trial)
        right = rng.gamma(4, 0.25, (1, 80))
        other = 1.5 * right * rng.gamma(16, 1 / 16, (1, 80))
        estimate = ExemplarUse([], (750,), {RIGHT: right, OTHER: other}).ratio(OTHER, 750)
        assert estimate.low < estimate.value < estimate.high
        covered += estimate.low < 1.5 < estimate.high
    assert covered >= 33


def test_a_loss_that_is_not_finite_is_no_missing_condition(make_batch: BatchMaker) -> None:
    def fails(batch: Batch) -> Losses:
        losses = knower(batch)
        return dataclasses.replace(losses, per_sample=torch.where(batch.drop, torch.nan, losses.per_sample))

    with pytest.raises(
        ValueError, match=f"^{UNCONDITIONAL} at timestep 750: not finite is the loss of photo-0-0, photo"
    ):
        measure_exemplar_use(fails, marked_batches(make_batch), classes=CLASSES, timesteps=(750,))
