"""Tar files of photos, damaged or with odd names."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.errors import InputError
from pipeline.photos import archives
from pipeline.photos.id_forms import IdForms
from pipeline.photos.store import PhotoStore

JPEG = Callable[..., bytes]
PLAIN_IDS = IdForms(frozenset({0}))


def tar_of(path: Path, names: list[bytes], content: bytes) -> bytes:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            member = tarfile.TarInfo(name.decode(errors="surrogateescape"))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path.read_bytes()


def test_a_photo_whose_name_is_no_text_hides_no_other_photo_of_its_tar(tmp_path: Path, jpeg: JPEG) -> None:
    tar_of(tmp_path / "a.tar", [b"caf\xe9.jpg", b"../../up.jpg", b"/abs.jpg", b"plain.jpg"], jpeg((64, 48)))
    (places,) = PhotoStore((str(tmp_path / "a.tar"),), anonymous=False).archived(PLAIN_IDS)
    assert places["image_id"].to_pylist() == ["up", "abs", "plain"]


def test_a_damaged_tar_is_listed_or_refused(tmp_path: Path) -> None:
    whole = tar_of(tmp_path / "a.tar", [b"a.jpg", b"b" * 150 + b".jpg", b"c/d.png"], bytes(600))
    refused = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        data = bytearray(whole)
        header = int(rng.integers(len(data) // tarfile.BLOCKSIZE)) * tarfile.BLOCKSIZE
        field = header + int(rng.choice([0, 124, 156]))  # name, size, type
        data[field : field + 12] = bytes(rng.choice([b"\xff", b"\x80", b"L", b"x"])) + rng.bytes(11)
        summed = data[header : header + 148] + b" " * 8 + data[header + 156 : header + tarfile.BLOCKSIZE]
        data[header + 148 : header + 156] = b"%06o\0 " % sum(summed)
        (tmp_path / "a.tar").write_bytes(data)
        try:
            archives.index_archive(str(tmp_path / "a.tar"), PLAIN_IDS, anonymous=False)
        except InputError as error:
            assert "a.tar" in str(error)
            refused += 1
    assert 0 < refused < 200


def test_a_tar_file_may_be_named_in_any_case_and_a_folder_like_one(tmp_path: Path, jpeg: JPEG) -> None:
    folder = tmp_path / "photos.tar"
    (folder / "train.tar").mkdir(parents=True)
    (folder / "train.tar" / "loose.jpg").write_bytes(jpeg((64, 48)))
    tar_of(folder / "more.TAR", [b"packed.jpg"], jpeg((64, 48)))
    whole = PhotoStore((str(folder),), anonymous=False)
    alone = PhotoStore((str(folder / "more.TAR"),), anonymous=False)
    for store, ids in ((whole, ["packed", "loose"]), (alone, ["packed"])):
        found = [name for table in store.places(PLAIN_IDS) for name in table["image_id"].to_pylist()]
        assert found == ids
    assert whole.fetch("loose") == jpeg((64, 48))
