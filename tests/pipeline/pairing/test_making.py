import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.decoding.jpeg import decode_jpeg
from pipeline.draws.raster import raster_mask
from pipeline.errors import InputError
from pipeline.pairs import shard_pairs
from pipeline.shards.samples import read_sample
from pipeline.storage.folder import Folder
from tests.object_storage import Proxy
from tests.pipeline.conftest import problems
from tests.pipeline.draws.blobs import blobs, iou
from tests.pipeline.pairing.own_pairs import SMALL, Jpeg, contents, make, reasons_of, rows_of, write_mask


def test_the_stored_mask_is_the_users_in_every_draw(made: tuple[Path, Path]) -> None:
    folder, out = made
    for row in rows_of(out):
        mask = np.asarray(Image.open(folder / f"masks/{row['image_id']}.png")) // 255
        left, top, right, bottom = row["crop"]
        small = cv2.resize(mask[top:bottom, left:right] * 255, (64, 64), interpolation=cv2.INTER_AREA)
        found = raster_mask(np.array(row["mask_polygon"], np.float32).reshape(-1, 2), 64)
        assert iou(found.astype(bool), small >= 128) > 0.98
        inside = np.argwhere(mask)
        assert row["box"] == pytest.approx(
            [*(inside.min(axis=0) / mask.shape)[::-1], *((inside.max(axis=0) + 1) / mask.shape)[::-1]]
        )
        assert left <= inside[:, 1].min() and inside[:, 1].max() < right


@pytest.mark.heavy
def test_equal_inputs_give_equal_bytes_on_any_number_of_workers(folder: Path, tmp_path: Path) -> None:
    for out, workers in (("one", "1"), ("three", "3")):
        make(folder, tmp_path / out, "--photos-per-unit", "2", "--workers", workers)
    assert contents(tmp_path / "one") == contents(tmp_path / "three")


def test_pairs_on_object_storage_give_the_same_bytes(made: tuple[Path, Path], s3: Proxy) -> None:
    folder, local = made
    place, out = Folder("s3://bucket/own"), Folder("s3://bucket/out")
    for path in folder.rglob("*.*"):
        place.write(str(path.relative_to(folder)), path.read_bytes())
    assert shard_pairs(["--pairs", place.url, "--out", out.url, *SMALL]) == 0
    assert all(out.read(name) == content for name, content in contents(local).items())


@pytest.mark.heavy
def test_more_draws_add_shards_and_change_none(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "out", "--draws", "1")
    before = {name: data for name, data in contents(tmp_path / "out").items() if name.startswith(("shards/", "index/"))}
    make(folder, tmp_path / "out", "--draws", "3")
    assert before.items() < contents(tmp_path / "out").items()
    assert problems(tmp_path / "out") == []


Fault = tuple[bytes | None, np.ndarray | bytes | None, str]  # photo, mask, why there is no sample


def faulty_pairs(good_mask: bytes, jpeg: Jpeg) -> dict[str, Fault]:
    """Pairs with one fault each, by name, and one without."""
    photo, good = jpeg((150, 120)), blobs(1, 120, 150, grain=8, share=0.2)
    noise = np.random.default_rng(0).integers(0, 255, (120, 150), np.uint8)
    return {
        "no mask": (photo, None, "draw/mask_missing"),
        "no photo": (None, good, "photo/missing"),
        "torn photo": (photo[:900], good, "photo/truncated"),
        "torn mask": (photo, good_mask[:80], "draw/mask_truncated"),
        "html mask": (photo, b"<html>404</html>", "draw/mask_not_an_image"),
        "nothing": (photo, b"", "draw/mask_empty"),
        "black": (photo, good * 0, "draw/empty_mask"),
        "white": (photo, good * 0 + 1, "draw/full_mask"),
        "a photo": (photo, noise, "draw/not_a_mask"),
        "on its side": (photo, good.T.copy(), "draw/mask_size"),
        "a speck": (photo, np.pad(np.ones((3, 3), np.uint8), ((50, 67), (60, 87))), "draw/box_too_small"),
        "bad exemplar": (photo, good, "draw/exemplar_not_an_image"),
        "schön 猫 " + "x" * 90: (photo, good, ""),
    }


def write_faulty_pairs(folder: Path, faults: dict[str, Fault]) -> None:
    """Write pairs, an exemplar for one of them, and what does not belong there."""
    (folder / "exemplars").mkdir()
    (folder / "exemplars/bad exemplar.jpg").write_bytes(b"no picture")
    (folder / "exemplars/of none.jpg").write_bytes(b"no picture")
    (folder / "images/.DS_Store").write_bytes(b"")
    (folder / "masks/Thumbs.db").write_bytes(b"")
    (folder / "masks/folder.png").mkdir()
    for name, (photo, mask, _) in faults.items():
        if photo is not None:
            (folder / f"images/{name}.jpg").write_bytes(photo)
        if isinstance(mask, bytes):
            (folder / f"masks/{name}.png").write_bytes(mask)
        elif mask is not None:
            pixels = mask * np.uint8(255) if mask.max(initial=0) <= 1 else mask
            Image.fromarray(pixels).save(folder / f"masks/{name}.png")


@pytest.mark.heavy
def test_every_pair_is_a_sample_or_a_drop_with_its_reason(
    folder: Path, tmp_path: Path, jpeg: Jpeg, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = faulty_pairs((folder / "masks/a.png").read_bytes(), jpeg)
    write_faulty_pairs(folder, faults)
    assert make(folder, tmp_path / "out", "--max-drops", "0.7") == 0
    assert problems(tmp_path / "out") == []
    expected = {name: reason for name, (*_, reason) in faults.items() if reason} | {"folder": "photo/missing"}
    assert reasons_of(tmp_path / "out") == expected
    said = capsys.readouterr().out
    assert f"{len(expected)} pairs were dropped" in said
    assert "a photo: not_a_mask" in said
    assert "1 exemplars are of no photo: of none" in said
    assert "left aside in images/, not pictures: .DS_Store" in said
    rows = rows_of(tmp_path / "out")
    assert len(rows) == 2 * 6
    assert any(row["image_id"].startswith("schön 猫") and row["key"].startswith("x-") for row in rows)
    make(folder, tmp_path / "out")
    again = capsys.readouterr().out
    assert "photos lost: 3 (missing 2, truncated 1); pictures that come later are other pairs" in again
    assert "--retry-drops" not in again


def test_more_lost_pairs_than_max_drops_fail_the_command_each_time_with_reasons_by_count_and_names(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        write_mask(folder / f"masks/{name}.png", np.zeros((120, 150), np.uint8))
    (folder / "masks/d.png").unlink()
    expected = "--max-drops 0.5: 4 of 5 pairs gave no sample (empty_mask 3: a, b, c; mask_missing 1: d)."
    for _ in range(2):  # the second run finds the dataset complete
        assert make(folder, tmp_path / "out") == 1
        said = capsys.readouterr().out
        assert expected in said
        assert "fine-tune: python -m pbe.train smoke " in said
    assert problems(tmp_path / "out") == []
    assert len(rows_of(tmp_path / "out")) == 2
    assert make(folder, tmp_path / "out", "--max-drops", "0.8") == 0
    with pytest.raises(InputError, match=r"--max-drops nan: give a share from 0 to 1"):
        make(folder, tmp_path / "out", "--max-drops", "nan")


def test_pairs_that_give_no_sample_fail_the_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abcde":
        write_mask(folder / f"masks/{name}.png", np.zeros((120, 150), np.uint8))
    assert make(folder, tmp_path / "out") == 1
    assert "a: empty_mask: nothing of it is white, which marks what is repainted" in capsys.readouterr().out


@pytest.mark.heavy
def test_a_given_exemplar_is_taken_whole_and_an_absent_one_from_the_photo(
    folder: Path, tmp_path: Path, jpeg: Jpeg
) -> None:
    (folder / "exemplars").mkdir()
    given = np.full((300, 200, 3), (200, 30, 60), np.uint8)
    Image.fromarray(given).save(folder / "exemplars/b.webp", lossless=True)
    make(folder, tmp_path / "out")
    for row in rows_of(tmp_path / "out"):
        sample = read_sample(Folder(str(tmp_path / "out")), row)
        if row["image_id"] == "b":
            assert row["exemplar_box"] == [0, 0, 0, 0]
            assert np.abs(sample.exemplar_pixels.astype(int) - (200, 30, 60)).max() <= 3
        else:
            left, top, right, bottom = row["exemplar_box"]
            photo = decode_jpeg((folder / f"images/{row['image_id']}.jpg").read_bytes())
            part = cv2.resize(photo[top:bottom, left:right], (224, 224), interpolation=cv2.INTER_LINEAR)
            assert np.abs(sample.exemplar_pixels.astype(int) - part).mean() < 3


@pytest.mark.heavy
def test_the_mask_is_made_on_the_upright_photo(folder: Path, tmp_path: Path, jpeg: Jpeg) -> None:
    (folder / "images/a.jpg").write_bytes(jpeg((120, 150), exif=6))  # upright 150 x 120
    mask = np.zeros((240, 300), np.uint8)  # twice its size
    mask[20:120, 200:280] = 1
    write_mask(folder / "masks/a.png", mask)
    make(folder, tmp_path / "out")
    row = rows_of(tmp_path / "out")[0]
    assert (row["image_id"], row["orientation"], row["photo_width"]) == ("a", "exif:6", 150)
    assert row["box"] == pytest.approx([200 / 300, 20 / 240, 280 / 300, 120 / 240], abs=0.01)


@pytest.mark.heavy
def test_black_may_be_repainted(made: tuple[Path, Path], folder: Path, tmp_path: Path) -> None:
    for path in (folder / "masks").iterdir():
        write_mask(path, 1 - np.asarray(Image.open(path)) // 255)
    make(folder, tmp_path / "black", "--repaint", "black")
    masks = [[row["mask_polygon"] for row in rows_of(out)] for out in (made[1], tmp_path / "black")]
    assert masks[0] == masks[1]


@pytest.mark.heavy
def test_instance_masks_of_open_images_become_samples(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "openimages_masks_15"
    if not source.is_dir():
        pytest.skip(f"needs the photos and masks in {source}")
    folder = tmp_path / "own"
    for sub in ("images", "masks"):
        shutil.copytree(source / sub, folder / sub)
    masks = sorted(path.name for path in (folder / "masks").iterdir())
    lines = [f"images/{name.partition('_')[0]}.jpg,masks/{name}" for name in masks]
    (folder / "pairs.csv").write_text("\n".join(["image,mask", *lines]))
    assert make(folder, tmp_path / "out", "--draws", "3", "--resolution", "256") == 0
    assert problems(tmp_path / "out") == []
    rows = rows_of(tmp_path / "out")
    assert len({(row["image_id"], row["box_id"]) for row in rows}) == 15
    pairs = pq.read_table(next((tmp_path / "out/run/pairs").iterdir())).to_pylist()
    for row in rows:
        names = [pair["mask"] for pair in pairs if pair["ImageID"] == row["image_id"]]
        size = (row["photo_width"], row["photo_height"])
        mask = Image.open(folder / names[row["box_id"]]).convert("L").resize(size, Image.Resampling.BILINEAR)
        part = mask.crop(tuple(row["crop"])).resize((256, 256), Image.Resampling.BILINEAR)
        found = raster_mask(np.array(row["mask_polygon"], np.float32).reshape(-1, 2), 256)
        assert iou(found.astype(bool), np.asarray(part) >= 128) > 0.9
