"""The contact sheet of a dataset: whose samples it shows, and what of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.pictures.overview import choose_rows
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from tests.pipeline.pairing.own_pairs import Jpeg, make, write_mask, write_pairs


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, jpeg: Jpeg) -> Path:
    """Datasets that keep sources or not, of six pairs with exemplars of their own, of which one gives no sample."""
    place = tmp_path_factory.mktemp("overview")
    folder = write_pairs(place / "own", jpeg, tuple("abcdef"))
    (folder / "exemplars").mkdir()
    for name in "abcdef":
        Image.new("RGB", (60, 60), "red").save(folder / f"exemplars/{name}.png")
    write_mask(folder / "masks/c.png", np.zeros((120, 152), np.uint8))
    assert make(folder, place / "plain", "--photos-per-unit", "2") == 0
    assert make(folder, place / "kept", "--photos-per-unit", "2", "--keep-source") == 0
    return place


@pytest.mark.heavy
def test_every_photo_has_its_turn_before_a_second_draw_of_any(place: Path) -> None:
    out = Folder(str(place / "plain"))
    rows = choose_rows(out, read_records(out))
    assert [row["draw"] for row in rows] == [0] * 5 + [1] * 5
    assert {row["image_id"] for row in rows[:5]} == {row["image_id"] for row in rows[5:]} == set("abdef")


def test_sources_are_shown_where_shards_keep_none_and_exemplars_are_pictures_of_their_own(place: Path) -> None:
    plain, kept = (np.asarray(Image.open(place / name / "overview.png")).astype(int) for name in ("plain", "kept"))
    assert plain.shape == kept.shape
    assert np.abs(plain - kept).mean() < 1  # a stored source has been through JPEG
