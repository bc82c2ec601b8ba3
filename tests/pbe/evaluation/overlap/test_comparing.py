"""Planted copies are found, with what was done to them; other photos are not."""

import numpy as np
import pytest

from pbe.evaluation.overlap.comparing import KnownPhotos, name_turn
from pbe.evaluation.overlap.greys import read_greys
from pbe.evaluation.overlap.windows import TURNS
from tests.pbe.evaluation.overlap.planting import CHANGES, encode, made_photo, plant

COUNT = 6
TURNED = ("mirrored", "turned by 90", "turned by 180", "turned by 270")  # named as TURNS names them


@pytest.fixture(scope="module")
def known() -> KnownPhotos:
    return KnownPhotos([f"photo {n}" for n in range(COUNT)], [read_greys(encode(made_photo(n))) for n in range(COUNT)])


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_with_its_turn(known: KnownPhotos, change: str) -> None:
    compared = known.compare(read_greys(plant(made_photo(2), change)))
    [match] = compared.matches
    assert match.other == "photo 2"
    if change != "cropped to 80 %, mirrored, turned, shrunk, colours shifted":  # which draws its turn
        assert match.turn == (change if change in TURNED else "none")
    assert match.bits <= 11 and match.inliers >= 8 and match.correlation >= 0.5


def test_other_photos_are_not_found(known: KnownPhotos) -> None:
    assert not any(known.compare(read_greys(encode(made_photo(n)))).matches for n in range(100, 106))


def test_a_photo_that_shows_nothing_is_called_flat() -> None:
    flat = read_greys(encode(np.full((90, 120, 3), 70, np.uint8)))
    known = KnownPhotos(["flat"], [flat])
    assert known.flat == ["flat"] and known.compare(flat).flat


def test_a_pair_of_alike_photos_without_keypoints_is_counted_as_undecided() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 120)[None, :, None], (90, 120, 3)).astype(np.uint8)
    compared = KnownPhotos(["ramp"], [read_greys(encode(ramp))]).compare(read_greys(encode(ramp, quality=50)))
    assert not compared.matches and (compared.hits, compared.aligned, compared.plain) == (1, 1, 1)


def test_turns_have_the_names_of_the_list() -> None:
    assert {name_turn(mirrored, quarters) for mirrored in (False, True) for quarters in range(4)} == set(TURNS)
