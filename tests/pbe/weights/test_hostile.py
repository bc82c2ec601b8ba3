"""Models made to do harm, or damaged: each loads or is refused by name; nothing else comes out."""

from collections import Counter
from pathlib import Path

import pytest

from tests.benchmarks.fuzz import models
from tests.benchmarks.fuzz.running import Subject


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    return models.subjects(60, 3, None)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("at", "count", "whole"), [(0, 12, "picture"), (1, 15, "weights")], ids=["folders", "checkpoints"]
)
def test_mutated_models_load_or_are_refused_by_name(
    subjects: list[Subject], at: int, count: int, whole: str, tmp_path: Path
) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(count):
        subjects[at].write(number, tmp_path / str(number))
        outcomes[subjects[at].outcome(tmp_path / str(number))] += 1
    assert 0 < outcomes[whole] < count / 2 and len(outcomes) >= 3
    assert not any(outcome.startswith("other") for outcome in outcomes)
