import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pbe.edit import main as edit
from pbe.feed.config import FeedConfig, MaskMode
from pbe.feed.fixed_batches import fixed_batches
from pipeline.draws.raster import raster_mask, reduce_mask
from pipeline.errors import InputError
from pipeline.pairs import shard_pairs
from pipeline.photos.jpeg import decode_jpeg
from pipeline.shards.manifest import read_manifest
from pipeline.shards.samples import read_sample
from pipeline.storage.folder import Folder
from tests.object_storage import Proxy
from tests.pbe.training.rank_group import RankGroup
from tests.pipeline.conftest import files_of, problems
from tests.pipeline.draws.blobs import blobs, iou

RUN_MODULE = "tests.pbe.training.preloaded.run_module"
SMALL = ("--model", "untrained", "--resolution", "64", "--draws", "2", "--device", "cpu", "--workers", "2")
Jpeg = Callable[..., bytes]


def write_pairs(folder: Path, jpeg: Jpeg, names: tuple[str, ...] = ("a", "b", "c", "d", "e")) -> Path:
    """Photos of 150 x 120 px with masks of some pieces."""
    for sub in ("images", "masks"):
        (folder / sub).mkdir(parents=True)
    for seed, name in enumerate(names):
        (folder / f"images/{name}.jpg").write_bytes(jpeg((150 + seed, 120)))
        mask = np.zeros((120, 150 + seed), np.uint8)
        mask[40:90, 50:110] = blobs(seed, 50, 60, grain=4, share=0.4)
        write_mask(folder / f"masks/{name}.png", mask)
    return folder


def write_mask(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask * np.uint8(255)).save(path)


@pytest.fixture
def folder(tmp_path: Path, jpeg: Jpeg) -> Path:
    return write_pairs(tmp_path / "own", jpeg)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, jpeg: Jpeg) -> tuple[Path, Path]:
    """Pairs and the dataset of them, to look at only."""
    root = tmp_path_factory.mktemp("pairs")
    assert make(write_pairs(root / "own", jpeg), root / "out") == 0
    return root / "own", root / "out"


def make(folder: Path, out: Path, *more: str) -> int:
    return shard_pairs(["--pairs", str(folder), "--out", str(out), *SMALL, *more])


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in files_of(out)}


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ds.dataset(out / "index", format="parquet").to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["draw"], row["image_id"]))


def reasons_of(out: Path) -> dict[str, str]:
    drops = ds.dataset(out / "drops/units", format="parquet").to_table().to_pylist()
    return {drop["image_id"]: f"{drop['stage']}/{drop['reason']}" for drop in drops}


def test_a_folder_of_pairs_becomes_a_sound_dataset(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(folder, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "5 pairs of 5 photos" in said
    assert "10 samples" in said
    assert problems(tmp_path / "out") == []
    rows = rows_of(tmp_path / "out")
    assert [row["key"] for row in rows] == [f"{name}-0-{draw}" for draw in (0, 1) for name in "abcde"]
    assert {row["mask_shape"] for row in rows} == {"traced"}
    assert all(row["box"] == row["box_source"] for row in rows)
    assert len({tuple(row["crop"]) for row in rows}) > 5
    assert {"overview.png", "funnel.png", "card.md", "shards.parquet"} <= set(files_of(tmp_path / "out"))
    assert make(folder, tmp_path / "out") == 0
    assert "nothing to do" in capsys.readouterr().out


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


def test_more_draws_add_shards_and_change_none(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "out", "--draws", "1")
    before = {name: data for name, data in contents(tmp_path / "out").items() if name.startswith(("shards/", "index/"))}
    make(folder, tmp_path / "out", "--draws", "3")
    assert before.items() < contents(tmp_path / "out").items()
    assert problems(tmp_path / "out") == []


def test_the_same_command_ends_what_a_signal_interrupted_with_the_same_bytes(tmp_path: Path, jpeg: Jpeg) -> None:
    names = tuple(f"photo{number:02d}" for number in range(24))
    flags = ("--photos-per-unit", "1", "--resolution", "128")
    folder, out = write_pairs(tmp_path / "own", jpeg, names), tmp_path / "out"
    log = tmp_path / "log"
    command = ["pipeline.pairs", "--pairs", str(folder), "--out", str(out), *SMALL, *flags]
    with RankGroup(log, RUN_MODULE, command, world=1) as running:
        running.wait_until(lambda: any(out.glob("units/*.json")))
        running.kill(signal.SIGINT)
        codes = running.wait()
    said = log.read_text()
    assert codes == [130], said
    assert "interrupted; finished units are kept: run the same command again to go on" in said
    assert "Traceback" not in said
    kept = len(list(out.glob("units/*.json")))
    assert 0 < kept < 48
    assert not (out / "manifest.json").exists()
    assert make(folder, out, *flags) == 0
    make(folder, tmp_path / "whole", *flags)
    assert contents(out) == contents(tmp_path / "whole")


def test_changed_pairs_on_the_same_output_are_refused_and_told(
    folder: Path, tmp_path: Path, jpeg: Jpeg, capsys: pytest.CaptureFixture[str]
) -> None:
    make(folder, tmp_path / "out")
    write_mask(folder / "masks/a.png", blobs(9, 120, 150, grain=8, share=0.3))
    (folder / "images/b.jpg").write_bytes(jpeg((151, 121)))
    (folder / "images/c.jpg").unlink()
    (folder / "masks/c.png").unlink()
    with pytest.raises(InputError, match=r"began with another recipe.*--overwrite"):
        make(folder, tmp_path / "out")
    assert "1 gone, 2 changed" in capsys.readouterr().out
    with pytest.raises(InputError, match="seed: 0 there, 1 now"):
        make(folder, tmp_path / "out", "--seed", "1")
    assert make(folder, tmp_path / "out", "--overwrite") == 0
    assert problems(tmp_path / "out") == []
    assert len(rows_of(tmp_path / "out")) == 8


def test_every_pair_is_a_sample_or_a_drop_with_its_reason(
    folder: Path, tmp_path: Path, jpeg: Jpeg, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 150), np.uint8)
    good = blobs(1, 120, 150, grain=8, share=0.2)
    faults: dict[str, tuple[bytes | None, np.ndarray | bytes | None, str]] = {
        "no mask": (jpeg((150, 120)), None, "draw/mask_missing"),
        "no photo": (None, good, "photo/missing"),
        "torn photo": (jpeg((150, 120))[:900], good, "photo/truncated"),
        "torn mask": (jpeg((150, 120)), (folder / "masks/a.png").read_bytes()[:80], "draw/mask_truncated"),
        "html mask": (jpeg((150, 120)), b"<html>404</html>", "draw/mask_not_an_image"),
        "nothing": (jpeg((150, 120)), b"", "draw/mask_empty"),
        "black": (jpeg((150, 120)), good * 0, "draw/empty_mask"),
        "white": (jpeg((150, 120)), good * 0 + 1, "draw/full_mask"),
        "a photo": (jpeg((150, 120)), noise, "draw/not_a_mask"),
        "on its side": (jpeg((150, 120)), good.T.copy(), "draw/mask_size"),
        "a speck": (jpeg((150, 120)), np.pad(np.ones((3, 3), np.uint8), ((50, 67), (60, 87))), "draw/box_too_small"),
        "bad exemplar": (jpeg((150, 120)), good, "draw/exemplar_not_an_image"),
        "schön 猫 " + "x" * 90: (jpeg((150, 120)), good, ""),
    }
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
            Image.fromarray(mask * np.uint8(255) if mask.max(initial=0) <= 1 else mask).save(
                folder / f"masks/{name}.png"
            )
    assert make(folder, tmp_path / "out") == 0
    assert problems(tmp_path / "out") == []
    expected = {name: reason for name, (*_, reason) in faults.items() if reason} | {"folder": "photo/missing"}
    assert reasons_of(tmp_path / "out") == expected
    said = capsys.readouterr().out
    assert f"{len(expected)} pairs were dropped" in said
    assert "a photo: not_a_mask" in said
    assert "1 exemplars are of no photo: of none" in said
    assert "left aside in images/, being no pictures: .DS_Store" in said
    rows = rows_of(tmp_path / "out")
    assert len(rows) == 2 * 6
    assert any(row["image_id"].startswith("schön 猫") and row["key"].startswith("x-") for row in rows)


def test_pairs_that_give_no_sample_fail_the_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abcde":
        write_mask(folder / f"masks/{name}.png", np.zeros((120, 150), np.uint8))
    assert make(folder, tmp_path / "out") == 1
    assert "a: empty_mask: nothing of it is white, which marks what is repainted" in capsys.readouterr().out


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


def test_the_mask_is_made_on_the_upright_photo(folder: Path, tmp_path: Path, jpeg: Jpeg) -> None:
    (folder / "images/a.jpg").write_bytes(jpeg((120, 150), exif=6))  # upright 150 x 120
    mask = np.zeros((240, 300), np.uint8)  # twice its size
    mask[20:120, 200:280] = 1
    write_mask(folder / "masks/a.png", mask)
    make(folder, tmp_path / "out")
    row = rows_of(tmp_path / "out")[0]
    assert (row["image_id"], row["orientation"], row["photo_width"]) == ("a", "exif:6", 150)
    assert row["box"] == pytest.approx([200 / 300, 20 / 240, 280 / 300, 120 / 240], abs=0.01)


def test_black_may_be_repainted(made: tuple[Path, Path], folder: Path, tmp_path: Path) -> None:
    for path in (folder / "masks").iterdir():
        write_mask(path, 1 - np.asarray(Image.open(path)) // 255)
    make(folder, tmp_path / "black", "--repaint", "black")
    masks = [[row["mask_polygon"] for row in rows_of(out)] for out in (made[1], tmp_path / "black")]
    assert masks[0] == masks[1]


def test_a_table_may_give_a_photo_several_masks_and_names_of_any_kind(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "deep/er").mkdir(parents=True)
    shutil.copy(folder / "images/a.jpg", folder / "deep/er/A, b.JPG")
    lines = ["image,mask,exemplar,label", "images/a.jpg,masks/a.png,,cat", "images/a.jpg,masks/b.png,images/c.jpg,"]
    lines += ['"deep/er/A, b.JPG",./masks/a.png,,', "images/a.jpg,masks/c.png,,", ""]
    (folder / "pairs.csv").write_text("\ufeff" + "\r\n".join(lines))
    assert make(folder, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "4 pairs of 2 photos" in said
    assert "1 pairs are in no draw: a photo has 3 masks; --draws 3 takes all" in said
    assert make(folder, tmp_path / "out", "--draws", "3") == 0
    rows = rows_of(tmp_path / "out")
    assert {(row["image_id"], row["box_id"]) for row in rows} == {
        *(("images/a.jpg", box) for box in range(3)),
        ("deep/er/A, b.JPG", 0),
    }
    assert {row["box_id"]: row["label_name"] for row in rows if row["box_id"]} == {1: "pair", 2: "pair"}
    assert {row["label_name"] for row in rows if row["image_id"] == "images/a.jpg"} == {"cat", "pair"}
    assert problems(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("image,masks\na,b\n", "its columns are image,masks; give image,mask"),
        ("image;mask\na;b\n", "its columns are image;mask"),
        ("image,mask\nimages/a.jpg\n", "line 2: has not as many fields"),
        ("image,mask\nimages/a.jpg,masks/a.png,more\n", "line 2: has not as many fields"),
        ("image,mask\n,masks/a.png\n", "line 2: names no image"),
        ("image,mask\nimages/a.jpg,../secret.png\n", "line 2: mask ../secret.png: give a path relative"),
        ("image,mask\n/etc/passwd,masks/a.png\n", "line 2: image /etc/passwd: give a path relative"),
        ("image,mask\n", "no photo has a mask"),
        (
            'image,mask,label\nimages/a.jpg,masks/a.png,"x\nimages/b.jpg,masks/b.png,y\n',
            "unexpected end of data, at line 3",
        ),
        ("image,mask\nimages/z.jpg,masks/a.png\n", "none of 1 pairs has both a photo and a mask that can be read"),
    ],
)
def test_a_wrong_table_is_refused_before_any_work(folder: Path, tmp_path: Path, table: str, what: str) -> None:
    (folder / "pairs.csv").write_text(table)
    with pytest.raises(InputError) as refusal:
        make(folder, tmp_path / "out")
    assert what in str(refusal.value)
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_wrong_folder_is_refused_saying_what_was_expected(folder: Path, tmp_path: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"no picture in images/ and masks/, and no pairs.csv; give a folder that"):
        make(folder / "empty", tmp_path / "out")
    with pytest.raises(InputError, match="no picture in images/ and masks/"):
        make(folder / "absent", tmp_path / "out")
    (folder / "images/a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"images/a.jpg and images/a.png have one name"):
        make(folder, tmp_path / "out")
    (folder / "images/a.png").unlink()
    for path in list((folder / "masks").iterdir()):
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    with pytest.raises(InputError, match=r"no photo has a mask of its name \(photos: .*a.jpg.*; masks: .*a_mask.png"):
        make(folder, tmp_path / "out")
    (tmp_path / "link").symlink_to(folder)
    for out in (folder, tmp_path / "link", folder / "images", folder / "masks/deeper"):
        with pytest.raises(InputError, match="is where the pairs are"):
            make(folder, out)
    with pytest.raises(InputError, match="is a file; give its folder"):
        make(folder / "images/a.jpg", tmp_path / "out")


def test_a_flag_that_cannot_work_is_refused(folder: Path, tmp_path: Path) -> None:
    for flags, what in (
        (("--resolution", "60"), "multiple of the VAE's factor"),
        (("--split-shares", "0", "1", "0"), "give --split-shares 1 0 0"),
        (("--model", str(folder)), "has no vae/; give the folder of a whole model, or name it with --vae"),
        (("--model", str(folder / "none")), "none: no such folder or file; give the folder of a model, or name its"),
        (("--model", str(folder / "images/a.jpg")), "is a file; give a folder, such as pbe.convert makes"),
        (("--workers", "-1"), "--workers -1"),
    ):
        with pytest.raises(InputError) as refusal:
            make(folder, tmp_path / "out", *flags)
        assert what in str(refusal.value)
    with pytest.raises(InputError, match="--model: give the model that will be fine-tuned"):
        shard_pairs(["--pairs", str(folder), "--out", str(tmp_path / "out")])
    with pytest.raises(InputError, match="--pairs: give a folder"):
        shard_pairs(["--out", str(tmp_path / "out")])


def test_pairs_feed_the_trainer(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "out", "--keep-source")
    rows = {row["key"]: row for row in rows_of(tmp_path / "out")}
    modes: tuple[MaskMode, ...] = ("drawn", "box")
    for masks in modes:
        batch = next(fixed_batches(FeedConfig(str(tmp_path / "out"), batch_size=4, masks=masks)))
        for key, mask in zip(batch.keys, batch.masks, strict=True):
            polygon = np.array(rows[key]["mask_polygon"], np.float32).reshape(-1, 2)
            exact = reduce_mask(raster_mask(polygon, 64), 8)
            assert np.array_equal(mask[0].numpy(), exact) == (masks == "drawn")
            assert (mask[0].numpy() >= exact).all()


def test_a_model_trained_on_pairs_is_fine_tuned_on_others_with_its_own_encoders_and_edits(
    made: tuple[Path, Path], tmp_path: Path, jpeg: Jpeg
) -> None:
    _, first = made

    def train(data: Path, out: str, *more: str) -> None:
        flags = ["tiny", "--data", str(data), "--out", str(tmp_path / out), "--steps", "2", "--workers", "0", *more]
        with RankGroup(tmp_path / "log", "pbe.train.main", [flags], world=1) as group:
            assert group.wait() == [0], (tmp_path / "log").read_text()

    train(first, "run")
    others = write_pairs(tmp_path / "others", jpeg, ("x", "y"))
    assert make(others, tmp_path / "second", "--model", str(tmp_path / "run")) == 0
    vaes = [read_manifest(Folder(str(dataset)))["recipe"]["vae"] for dataset in (first, tmp_path / "second")]
    assert vaes[0] == vaes[1]
    model = str(tmp_path / "run/model")
    train(tmp_path / "second", "tuned", "--init-from", model, "--vae", model, "--clip", model)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "tuned/metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 2
    assert np.isfinite(losses).all()

    given = {"source": "images/x.jpg", "mask": "masks/x.png", "exemplar": "images/y.jpg"}
    flags = [part for name, path in given.items() for part in (f"--{name}", str(others / path))]
    out = str(tmp_path / "edited.png")
    assert edit(["--model", str(tmp_path / "tuned"), *flags, "--out", out, "--steps", "2", "--paste-back"]) == 0
    photo = decode_jpeg((others / "images/x.jpg").read_bytes())
    mask = np.asarray(Image.open(others / "masks/x.png")) > 0
    edited = np.asarray(Image.open(tmp_path / "edited.png"))
    assert np.array_equal(edited[~mask], photo[~mask])
    assert (edited[mask] != photo[mask]).any(axis=1).mean() > 0.5


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
