"""Pictures: what is shown is what the trainer sees, wherever it comes from."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dashboards.pictures import PictureReader, SampleError, read_vector
from dashboards.rows import choose_rows, open_rows
from dashboards.sheet.cards import make_card
from pipeline.decoding.jpeg import encode_jpeg
from pipeline.draws.draw import blank
from pipeline.draws.exemplars import augment_exemplar, describe_augmentation
from pipeline.draws.jitter import describe_jitter
from pipeline.draws.raster import raster_mask
from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.latents import decode
from pipeline.encoders.vae import VaeEncoder
from pipeline.jobs.preparation import PreparedJob
from pipeline.photos.store import PhotoStore
from pipeline.pictures.cut_sources import Photos, rotation_of
from pipeline.pictures.stand_in import place_exemplar
from pipeline.recorded_inputs import find_inputs
from pipeline.shards.recipe import Json
from pipeline.shards.samples import Row, read_sample
from pipeline.storage.folder import Folder
from schemas.samples import EXEMPLAR_EXT, SOURCE_EXT
from tests.pipeline.pairing.own_pairs import make as make_pairs
from tests.pipeline.pairing.own_pairs import write_pairs

Make = Callable[..., PreparedJob]


def _open(folder: Path) -> tuple[Folder, Json, list[Row]]:
    """A dataset's folder, recipe and rows."""
    dataset = open_rows(Folder(str(folder)))
    return dataset.folder, dataset.recipe, choose_rows(dataset, limit=0).table.to_pylist()


@pytest.fixture(scope="session")
def _bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bare")


@pytest.fixture
def bare(make: Make, _bare: Path) -> Path:
    """The dataset of `finished` without its sources, to read only."""
    if not (_bare / "manifest.json").exists():
        make(_bare, keep_source=False)
    return _bare


def test_every_picture_is_what_the_trainer_sees(finished: Path, clip: ClipEncoder) -> None:
    folder, recipe, rows = _open(finished)
    reader = PictureReader(folder, recipe)
    for row in rows:
        shown, sample = reader.read(row), read_sample(folder, row)
        polygon = np.array(row["mask_polygon"], np.float32).reshape(-1, 2)
        np.testing.assert_array_equal(shown.mask, raster_mask(polygon, 64))
        np.testing.assert_array_equal(shown.source, sample.source)
        np.testing.assert_array_equal(shown.masked, blank(sample.source, shown.mask))
        np.testing.assert_array_equal(shown.exemplar, sample.exemplar_pixels)
        assert (shown.origin, shown.note) == ("stored", "")
        assert set(shown.stored) == {EXEMPLAR_EXT, SOURCE_EXT}
        _, applied = augment_exemplar(sample.exemplar_pixels, seed=0, image_id=row["image_id"], draw=row["draw"])
        assert describe_augmentation(applied) == describe_augmentation(row["augmentation"])
        np.testing.assert_allclose(clip.encode(shown.augmented[None])[0], sample.exemplar, atol=2e-3)


def test_sources_that_are_not_stored_are_cut_from_the_photos_again(
    finished: Path, bare: Path, sample_folder: Path
) -> None:
    _, _, stored = _open(finished)
    folder, recipe, rows = _open(bare)
    photos = Photos(PhotoStore((str(sample_folder / "train"),), anonymous=False), recipe)
    reader = PictureReader(folder, recipe, photos=photos)
    kept = PictureReader(Folder(str(finished)), recipe)
    for row, with_source in zip(rows, stored, strict=True):
        shown = reader.read(row)
        assert (shown.origin, shown.note) == ("cut", "")
        assert encode_jpeg(shown.source) == kept.read(with_source).stored[SOURCE_EXT]


def test_without_photos_sources_are_decoded_from_their_latents(bare: Path, vae: VaeEncoder) -> None:
    folder, recipe, rows = _open(bare)
    shown = PictureReader(folder, recipe, vae=vae).read(rows[0])
    assert (shown.origin, shown.note) == ("decoded", "")
    latent = torch.from_numpy(read_sample(folder, rows[0]).latent).float()
    expected = decode(vae.model, latent[None])[0].permute(1, 2, 0).numpy() * 255
    np.testing.assert_allclose(shown.source, expected, atol=0.51)


def test_without_anything_the_exemplar_stands_at_its_place(bare: Path) -> None:
    folder, recipe, rows = _open(bare)
    for row in rows:
        shown = PictureReader(folder, recipe).read(row)
        assert (shown.origin, shown.note) == ("placed", "")
        np.testing.assert_array_equal(shown.source, place_exemplar(shown.exemplar, row, 64))


def test_a_latent_that_does_not_decode_to_finite_numbers_is_not_shown(bare: Path, vae: VaeEncoder) -> None:
    folder, recipe, rows = _open(bare)
    model = copy.deepcopy(vae.model)
    model.decoder.conv_out.weight.data.fill_(3e38)
    with pytest.raises(SampleError, match=f"{rows[0]['key']} .*does not decode to finite numbers"):
        PictureReader(folder, recipe, vae=replace(vae, model=model)).read(rows[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Path.unlink, "missing"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "not the photo that the sample was drawn from"),
        (lambda path: path.write_bytes(b""), "empty"),
    ],
    ids=["gone", "changed", "empty"],
)
def test_a_photo_that_is_not_the_one_drawn_from_is_not_shown(
    bare: Path, sample_folder: Path, tmp_path: Path, change: Callable[[Path], object], said: str
) -> None:
    folder, recipe, rows = _open(bare)
    images = Path(shutil.copytree(sample_folder / "train", tmp_path / "photos"))
    change(images / f"{rows[0]['image_id']}.jpg")
    photos = Photos(PhotoStore((str(images),), anonymous=False), recipe)
    shown = PictureReader(folder, recipe, photos=photos).read(rows[0])
    assert shown.origin == "placed"
    assert rows[0]["image_id"] in shown.note and said in shown.note


def test_the_photos_of_pairs_are_found_beside_masks_and_exemplars_of_their_names(
    tmp_path: Path, jpeg: Callable[..., bytes]
) -> None:
    own = write_pairs(tmp_path / "own", jpeg, names=("a", "b"))
    (own / "exemplars").mkdir()
    (own / "exemplars/a.jpg").write_bytes(jpeg((90, 80)))
    assert make_pairs(own, tmp_path / "out") == 0
    dataset = open_rows(Folder(str(tmp_path / "out")))
    rows = choose_rows(dataset, limit=0).table.to_pylist()
    for flags in ((), (str(own),)):
        store = find_inputs(dataset.folder, images=flags).store
        assert store is not None
        reader = PictureReader(dataset.folder, dataset.recipe, photos=Photos(store, dataset.recipe))
        assert {(reader.read(row).origin, reader.read(row).note) for row in rows} == {("cut", "")}


def _fill(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1024])


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "said"),
    [(Path.unlink, "is gone"), (_fill, "damaged"), (_halve, "cut short"), (_make_folder, "cannot be read")],
)
def test_a_shard_that_is_gone_or_damaged_says_so(dataset: Path, change: Callable[[Path], None], said: str) -> None:
    folder, recipe, rows = _open(dataset)
    change(dataset / rows[0]["shard"])
    with pytest.raises(SampleError, match=said) as error:
        PictureReader(folder, recipe).read(rows[0])
    assert rows[0]["shard"] in str(error.value)
    with pytest.raises(SampleError, match=said):
        read_vector(folder, rows[0])
    assert PictureReader(folder, recipe).read(rows[-1]).origin == "stored"


def test_the_orientation_column_gives_the_rotation_back() -> None:
    assert [rotation_of(text) for text in ("none", "exif:6", "rotation:90", "rotation:0")] == [None, None, 90, 0]


def test_a_jittered_sample_is_shown_as_stored_and_says_so_in_its_card(make: Make, tmp_path: Path) -> None:
    make(tmp_path, limit=1, draws=2, colour_jitter=1.0)
    folder, recipe, rows = _open(tmp_path)
    for row in rows:
        card = make_card(row, PictureReader(folder, recipe))
        assert card.jitter == describe_jitter(row["jitter"]) != ""
        assert f"hue {row['jitter']['hue_degrees']:+.0f}°" in card.jitter
        assert ("flip" in card.jitter) == row["jitter"]["flip"]
        assert card.pictures is not None and card.pictures.origin == "stored"
