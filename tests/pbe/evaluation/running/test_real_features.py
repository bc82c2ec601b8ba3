"""A folder of real pictures gives the features of each that can be read, and names the others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbe.evaluation.metrics.encoders.protocol import Features, Picture
from pbe.evaluation.metrics.feature_cache import CachedEncoder
from pbe.evaluation.running.real_features import SIDE_PX, check_real, features_of_folder, open_real
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from tests.pipeline.storage.odd_names import ALL_OF_IT


class Mean:
    """The mean colour: [n, 3]."""

    name, digest, dimension, side = "mean", "0123456789abcdef", 3, 32

    def encode(self, pictures: Sequence[Picture]) -> Features:
        assert all(picture.shape == (SIDE_PX, SIDE_PX, 3) for picture in pictures)
        return np.array([picture.mean((0, 1)) for picture in pictures], np.float32)


def test_pictures_of_sub_folders_count_and_damaged_ones_are_named(tmp_path: Path) -> None:
    real = tmp_path / ALL_OF_IT
    for number, name in enumerate(("b.jpg", f"{ALL_OF_IT}/deep/a.PNG", "c.webp")):
        (real / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), (80 * number, 0, 0)).save(real / name)
    (real / "cut.jpg").write_bytes(b"nothing")
    (real / "notes.txt").write_text("")
    features, faults = features_of_folder(str(real), CachedEncoder(Mean(), Folder(str(tmp_path / "kept"))))
    assert len(np.unique(features, axis=0)) == len(features) == 3
    [fault] = faults
    assert "cut.jpg" in fault


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    encoder = CachedEncoder(Mean(), Folder(str(tmp_path / "kept")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"--real .*empty"):
        features_of_folder(str(tmp_path / "empty"), encoder)
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"--real .*notes.txt: is no folder"):
        check_real(str(tmp_path / "empty" / "notes.txt"))
    with pytest.raises(InputError, match=r"--real .*holds no pictures"):
        features_of_folder(str(tmp_path / "empty"), encoder)


def test_a_folder_is_decoded_once_until_a_file_in_it_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "real").mkdir()
    for number in range(4):
        Image.new("RGB", (20, 30), (60 * number, 10, 0)).save(tmp_path / "real" / f"{number}.png")

    def means() -> list[list[float]]:
        encoder = CachedEncoder(Mean(), Folder(str(tmp_path / "features")))
        found, faults = open_real(str(tmp_path / "real"), encoder, Folder(str(tmp_path / "run")))
        assert found.features is not None and not faults
        return sorted(found.features.tolist())

    first = means()
    assert "real pictures" in capsys.readouterr().err
    assert means() == first and "real pictures" not in capsys.readouterr().err
    [kept] = (tmp_path / "run").rglob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    assert means() == first and "real pictures" in capsys.readouterr().err
    Image.new("RGB", (20, 30), (200, 0, 0)).save(tmp_path / "real" / "0.png")
    assert means() != first
