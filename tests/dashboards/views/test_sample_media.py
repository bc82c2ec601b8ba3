"""What the App shows of a sample is what the trainer sees of it; names are looked up and never become paths."""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dashboards.pictures import PictureReader
from dashboards.rows import choose_rows, open_rows
from dashboards.views.sample_media import MASKS, SLICES, SampleMedia, explain, media_name, open_picture
from pipeline.decoding.jpeg import encode_jpeg
from pipeline.draws.draw import blank
from pipeline.draws.exemplars import augment_exemplar
from pipeline.draws.raster import raster_mask, reduce_mask
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.samples import read_sample
from pipeline.storage.folder import Folder

Make = Callable[..., PreparedJob]
DAMAGED = "is damaged, or no picture"


@pytest.fixture
def shown(make: Make, tmp_path: Path) -> tuple[SampleMedia, list[dict]]:
    make(tmp_path / "out", keep_source=True)
    dataset = open_rows(Folder(str(tmp_path / "out")))
    table = choose_rows(dataset, limit=0).table
    media = SampleMedia("set", table, PictureReader(dataset.folder, dataset.recipe), factor=8)
    return media, table.to_pylist()


def _pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_every_picture_is_what_the_trainer_sees(shown: tuple[SampleMedia, list[dict]], tmp_path: Path) -> None:
    media, rows = shown
    for row in rows:
        sample = read_sample(Folder(str(tmp_path / "out")), row)
        polygon = np.array(row["mask_polygon"], np.float32).reshape(-1, 2)
        mask = raster_mask(polygon, 64)
        augmented, applied = augment_exemplar(
            sample.exemplar_pixels, seed=0, image_id=row["image_id"], draw=row["draw"]
        )
        assert applied["flip"] == row["augmentation"]["flip"]
        got = {kind: media.picture(media_name("set", kind, row["key"])) for kind in (*SLICES, *MASKS)}
        assert all(got.values())
        assert sample.source is not None
        assert np.array_equal(cv2.imdecode(np.frombuffer(got["source"][0], np.uint8), 1)[..., ::-1], sample.source)
        assert got["masked"][0] == encode_jpeg(blank(sample.source, mask))
        assert got["augmented"][0] == encode_jpeg(augmented)
        assert np.array_equal(_pixels(got["mask"][0]), mask * 255)
        assert np.array_equal(_pixels(got["latent_mask"][0]), np.rint(reduce_mask(mask, 8) * 255))


@pytest.mark.heavy
@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "/set/source/../../etc/passwd.jpg",
        "/set/source/{key}.png",
        "/set/source//{key}.jpg",
        "/set/mask/{key}.jpg",
        "/other/source/{key}.jpg",
        "/set/source/{key}.jpg/",
        "/set/sources/{key}.jpg",
        "set/source/{key}.jpg",
        "",
    ],
)
def test_a_name_that_was_not_given_out_has_no_picture(shown: tuple[SampleMedia, list[dict]], name: str) -> None:
    media, rows = shown
    assert media.picture(name.format(key=rows[0]["key"])) is None


def test_a_shard_that_is_gone_or_cut_short_gives_a_picture_that_says_so(
    shown: tuple[SampleMedia, list[dict]], tmp_path: Path
) -> None:
    media, rows = shown
    (tmp_path / "out" / rows[0]["shard"]).unlink()
    cut = next(row for row in rows if row["shard"] != rows[0]["shard"])
    whole = (tmp_path / "out" / cut["shard"]).read_bytes()
    (tmp_path / "out" / cut["shard"]).write_bytes(whole[: cut["offset"] + 700])
    for row in (rows[0], cut):
        picture = media.picture(media_name("set", "source", row["key"]))
        assert picture
        assert _pixels(picture[0]).shape == (512, 512, 3)
        assert media.picture(media_name("set", "mask", row["key"])) is None


def test_extracted_pictures_are_those_that_are_served(shown: tuple[SampleMedia, list[dict]], tmp_path: Path) -> None:
    media, rows = shown
    assert dict(media.extract(tmp_path / "files")) == {row["key"]: "" for row in rows}
    for row in rows:
        for kind in (*SLICES, *MASKS):
            name = media_name("set", kind, row["key"])
            served = media.picture(name)
            assert served
            assert (tmp_path / "files" / name.removeprefix("/set/")).read_bytes() == served[0]


@pytest.mark.parametrize(("content", "said"), [(None, "is gone"), (b"", DAMAGED), (b"text", DAMAGED)])
def test_a_picture_file_that_is_gone_or_none_gives_one_that_says_so(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    media, size = open_picture(path.name, path.read_bytes)
    assert media == explain(f"a.png {said}")
    assert Image.open(io.BytesIO(media[0])).size == size
    Image.new("L", (3, 2)).save(path)
    assert open_picture(path.name, path.read_bytes) == ((path.read_bytes(), "image/png"), (3, 2))
