"""The nearest training exemplar: each finds itself, none that only validates is found, sharpness counts little."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.small_model.nearest import (
    COARSE_PX,
    exemplars_of,
    find_nearest,
    reduce_hole,
    reduce_picture,
)
from pbe.evaluation.bench.split_rows import read_split
from pbe.evaluation.metrics.encoders.protocol import Features, Picture
from pbe.evaluation.metrics.similarity import cosines
from pipeline.draws.crops import Crop
from pipeline.errors import InputError
from tests.pbe.evaluation.metrics.encoder_of_colours import Colours

COLOURS = Colours(side=COARSE_PX)


class Broken(Colours):
    """Gives features as half precision may: not finite."""

    def encode(self, pictures: Sequence[Picture]) -> Features:
        return super().encode(pictures) * np.float32("inf")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Any]) -> str:
    """A dataset of two draws; one of its photos validates."""
    out = tmp_path_factory.mktemp("nearest") / "dataset"
    make(out, draws=2, keep_source=False)
    return str(out)


def test_each_exemplar_of_the_training_is_nearest_to_itself(data: str) -> None:
    [(keys, exemplars)] = list(exemplars_of(data))
    assert {key.rpartition("-")[2] for key in keys} == {"0", "1"}
    found = find_nearest(data, exemplars, COLOURS)
    for key, exemplar, nearest in zip(keys, exemplars, found, strict=True):
        assert nearest.similarity == pytest.approx(1)
        assert np.array_equal(nearest.picture, exemplar)
        assert nearest.key.rpartition("-")[0] == key.rpartition("-")[0]  # two draws may show one box


def test_exemplars_that_only_validate_are_not_among_the_trainings(data: str) -> None:
    trained = {key for keys, _ in exemplars_of(data) for key in keys}
    others = set(read_split(data, "validation").table["key"].to_pylist())
    assert trained and others and not trained & others


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        find_nearest(str(tmp_path), [np.zeros((COARSE_PX, COARSE_PX, 3), np.uint8)], COLOURS)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_features_that_are_not_finite_and_pictures_that_are_gone_are_refused(data: str, tmp_path: Path) -> None:
    picture = np.zeros((COARSE_PX, COARSE_PX, 3), np.uint8)
    with pytest.raises(InputError, match="gave features that are not finite"):
        find_nearest(data, [picture], Broken(side=COARSE_PX))
    copy = Path(shutil.copytree(data, tmp_path / "copy"))
    for shard in copy.glob("shards/train/*.tar"):
        shard.write_bytes(b"")
    with pytest.raises(InputError, match=r"the exemplar of \S+ is damaged"):
        find_nearest(str(copy), [picture], COLOURS)


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_a_blurred_picture_remains_like_the_sharp_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sharp: Any = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (224, 224), interpolation=cv2.INTER_NEAREST)
    soft: Any = cv2.GaussianBlur(sharp, (0, 0), 4)
    [similarity] = cosines(*(COLOURS.encode([reduce_picture(picture)]) for picture in (sharp, soft)))
    assert similarity.value is not None and similarity.value > 0.97


def test_of_an_edit_the_holes_rectangle_alone_is_compared() -> None:
    mask = np.zeros((128, 128), bool)
    mask[32:96, 48:112] = True
    picture = np.where(mask[..., None], np.array((10, 200, 60), np.uint8), np.uint8(255)).astype(np.uint8)
    reduced = reduce_hole(picture, mask, Crop((0, 0, 128, 128), "crop"), 64)
    assert reduced.shape == (COARSE_PX, COARSE_PX, 3) and (reduced[2:-2, 2:-2] == (10, 200, 60)).all()
