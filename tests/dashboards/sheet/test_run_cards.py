"""What is chosen of a training: grids, worst and best samples, and what is said of losses that are not finite."""

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dashboards.sheet.run_cards import NAMED, choose_evenly, choose_extremes, log_faults, name_runs, sample_faults
from dashboards.training_run import LOSSES

SOME = st.integers(2, 20)
LOSS = st.one_of(st.none(), st.floats(0, 10), st.sampled_from([math.nan, math.inf]))


def ranked(losses: list[float | None]) -> dict[str, dict[str, float | None]]:
    """Losses by key in the order of `losses_by_key`: not finite, then falling, then those that there are none of."""
    order = sorted(losses, key=lambda loss: (loss is None, math.isfinite(loss or 0), -(loss or 0)))
    return {f"key-{place}": dict.fromkeys(LOSSES, loss) for place, loss in enumerate(order)}


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=60), SOME)
def test_the_steps_chosen_are_bounded_ascending_and_hold_the_first_and_the_last(steps: set[int], most: int) -> None:
    ascending = sorted(steps)
    chosen = choose_evenly(ascending, most)
    assert chosen == sorted(set(chosen)) and set(chosen) <= steps
    assert (chosen[0], chosen[-1], len(chosen)) == (ascending[0], ascending[-1], min(most, len(steps)))


@given(st.lists(LOSS, max_size=60), st.integers(1, 20))
def test_the_worst_and_the_best_are_apart_bounded_and_in_order(losses: list[float | None], most: int) -> None:
    by_key = ranked(losses)
    worst, best = choose_extremes(by_key, most)
    known = [key for key, fields in by_key.items() if fields["loss"] is not None]
    assert not set(worst) & set(best) and len(worst) + len(best) <= most
    assert worst == known[: len(worst)]  # what is not finite comes first
    assert best == known[::-1][: len(best)] and all(math.isfinite(by_key[key]["loss"] or 0) for key in best)
    if len(known) <= most:
        assert worst == known


def test_losses_that_are_not_finite_are_named_by_step_and_by_sample() -> None:
    rows = [{"step": 1, "loss": 1.0}, {"step": 2, "loss": None, "validation_loss": None}, {"step": 1500, "loss": None}]
    assert log_faults(rows) == [
        "The training loss was not finite at steps 2, 1,500",
        "The validation loss was not finite at step 2",
    ]
    assert log_faults(rows[:1]) == []
    samples = ranked([1.0, None, math.nan])
    samples["only-ema"] = {**dict.fromkeys(LOSSES, 1.0), "loss_ema": math.inf}
    assert sample_faults(samples) == [
        "Validation samples with a loss that is not finite: key-0, only-ema",
        "Validation samples without a loss, damaged and passed over: 1",
    ]
    many = log_faults([{"step": step, "loss": None} for step in range(NAMED + 5)])
    assert many[0].endswith("9 and 5 more")


def test_trainings_are_named_by_as_much_of_their_folders_as_tells_them_apart() -> None:
    assert name_runs([Path("/runs/a"), Path("/runs/b")]) == ["a", "b"]
    assert name_runs([Path("/one/train"), Path("/two/train")]) == ["one/train", "two/train"]
    assert name_runs([Path("/one/train")]) == ["train"]
