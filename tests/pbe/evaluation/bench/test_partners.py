"""A box's partner shows an object of its class in another photo, nearest in shape, whatever the order of the boxes."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.bench.partners import Partners

BOXES = st.lists(
    st.tuples(st.sampled_from(["cat", "dog", "pair", ""]), st.integers(0, 4), st.integers(1, 4)),
    min_size=1,
    max_size=20,
)


def _table(boxes: list[tuple[str, int, int]]) -> pa.Table:
    """Boxes as wide as high, in shares of photos that are `ratio` times as wide as high."""
    return pa.table(
        {
            "key": [f"k{number}" for number in range(len(boxes))],
            "label": [label for label, _, _ in boxes],
            "box": pa.array([[0.1, 0.1, 0.6, 0.6]] * len(boxes), pa.list_(pa.float32(), 4)),
            "photo_width": pa.array([100 * ratio for _, _, ratio in boxes], pa.int32()),
            "photo_height": pa.array([100] * len(boxes), pa.int32()),
            "photo_phash": [f"{photo:016x}" for _, photo, _ in boxes],
        }
    )


@settings(max_examples=60)
@given(BOXES, st.integers(0, 3), st.integers(0, 99))
def test_a_partner_is_the_nearest_of_its_class_in_another_photo(
    boxes: list[tuple[str, int, int]], seed: int, order: int
) -> None:
    table = _table(boxes)
    finder = Partners(table, seed=seed)
    lacking = {int(box): why for why, found in finder.lacking().items() for box in np.flatnonzero(found)}
    shuffle = np.random.default_rng(order).permutation(len(boxes))
    shuffled = Partners(table.take(pa.array(shuffle)), seed=seed)
    for number, (label, photo, ratio) in enumerate(boxes):
        others = [place for place, (name, other, _) in enumerate(boxes) if name == label and other != photo]
        if label in ("", "pair"):
            assert lacking[number] == "they have no class"
        elif not others:
            assert lacking[number] == "no other photo of the split shows their class"
        else:
            assert number not in lacking
            found = finder.find(number)
            away: list[Any] = [abs(np.log(boxes[place][2] / ratio)) for place in others]
            assert found in others and abs(np.log(boxes[found][2] / ratio)) <= min(away) + 1e-6
            assert shuffle[shuffled.find(int(np.flatnonzero(shuffle == number)[0]))] == found


def test_between_equals_the_seed_decides() -> None:
    table = _table([("cat", photo, 1) for photo in range(30)])
    assert len({Partners(table, seed=seed).find(0) for seed in range(10)}) > 3
    found = [Partners(table, seed=0).find(box) for box in range(30)]
    assert len(set(found)) > 10
