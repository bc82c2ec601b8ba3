"""Copies planted of real photos: at least 95 in 100 of each kind are found, and no two different photos."""

from pathlib import Path

import pytest

from pbe.evaluation.overlap.comparing import KnownPhotos
from pbe.evaluation.overlap.greys import read_greys
from pipeline.decoding.decode import decode_photo
from tests.pbe.evaluation.overlap.planting import CHANGES, plant


@pytest.mark.slow
def test_planted_copies_of_real_photos_are_found_and_no_others(real_data: Path) -> None:
    files = sorted((real_data / "openimages_v6_train100" / "train").glob("*.jpg"))
    data = [file.read_bytes() for file in files]
    known = KnownPhotos([file.stem for file in files], [read_greys(photo) for photo in data])
    photos = [decode_photo(each, rotation=None, boxes_frame="stored", max_pixels=10**8, min_px=1) for each in data]
    for change in CHANGES:
        found = [
            {match.other for match in known.compare(read_greys(plant(photo.pixels, change, number))).matches}
            for number, photo in enumerate(photos)
        ]
        own = [file.stem in names for file, names in zip(files, found, strict=True)]
        assert sum(own) >= 0.95 * len(files), change
        assert sum(map(len, found)) == sum(own), change
