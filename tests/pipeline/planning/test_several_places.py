"""Planned photos that lie in several places: refused where these hold other bytes, before anything is published."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.photos.store import PhotoStore
from pipeline.planning.plan import make_plan
from pipeline.planning.plan_files import read_unit_boxes, read_units
from pipeline.planning.row_counts import Plan
from pipeline.storage.folder import Folder
from tests.pipeline.planning.test_plan import INPUTS, replace, write_table

BOX = ("/m/1", "0.1", "0.7", "0.1", "0.8", "0")
ONE, OTHER, SMALL = b"one photo", b"not a one", b"thumb"


def lay_out(folder: Path, files: dict[str, bytes]) -> None:
    """Write files; those below a name in .tar go into that tar, in order, as often as they come."""
    tars: dict[str, list[tuple[str, bytes]]] = {}
    for name, content in files.items():
        tar, found, member = name.partition(".tar/")
        if found:
            tars.setdefault(f"{tar}.tar", []).append((member.rstrip("*"), content))
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for name, members in tars.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(folder / name, "w") as archive:
            for member, content in members:
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def plan_of(folder: Path, ids: list[str], images: tuple[str, ...] = ("images",), **changes: object) -> Plan:
    write_table(folder / "boxes.csv", [(image_id, *BOX) for image_id in ids])
    store = PhotoStore(tuple(str(folder / name) for name in images), anonymous=False)
    inputs = replace(INPUTS, tables=(str(folder / "boxes.csv"),), **changes)  # type: ignore[arg-type]
    return make_plan(inputs, places=store.places, out=Folder(str(folder / "out")))


def read_planned(folder: Path, images: tuple[str, ...] = ("images",)) -> dict[str, bytes]:
    """The bytes that the job takes for each planned photo."""
    store, out = PhotoStore(tuple(str(folder / name) for name in images), anonymous=False), Folder(str(folder / "out"))
    found = {}
    for unit in read_units(out).to_pylist():
        for row in read_unit_boxes(out, file=unit["file"], row_group=unit["row_group"]).to_pylist():
            place = {"archive": row["archive"], "offset": row["archive_offset"] or 0, "size": row["archive_size"] or 0}
            found[row["image_id"]] = store.fetch(row["image_id"], **place)
    return found


AMBIGUOUS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "a thumbnail before it in a tar": ("ID", ("images.tar/thumbs/ID.jpg", "images.tar/train/ID.jpg"), ("images.tar",)),
    "a later version in a tar": ("ID", ("images.tar/ID.jpg", "images.tar/ID.jpg*"), ("images.tar",)),
    "two tars": ("ID", ("images/a.tar/ID.jpg", "images/b.tar/ID.jpg"), ("images/*.tar",)),
    "a tar and a folder": ("ID", ("images/a.tar/x/ID.jpg", "images/ID.jpg"), ("images",)),
    "two sub-folders": ("ID", ("images/thumbs/ID.jpg", "images/train/ID.jpg"), ("images",)),
    "a folder and its sub-folder": ("ID", ("images/ID.jpg", "images/train/ID.jpg"), ("images",)),
    "two roots": ("ID", ("thumbs/ID.jpg", "train/ID.jpg"), ("thumbs", "train")),
    "two suffixes": ("ID", ("images/ID.jpg", "images/ID.png"), ("images",)),
    "two cases of one suffix": ("ID", ("images/ID.jpg", "images/ID.JpG"), ("images",)),
    "an id with a suffix": ("ID.jpg", ("images/ID.jpg", "images/sub/ID.jpg"), ("images",)),
    "an id with a suffix in a tar": ("ID.jpg", ("i.tar/a/ID.jpg", "i.tar/ID.jpg"), ("i.tar",)),
    "an id with a folder": ("a/001", ("images/a/001.jpg", "images/x/a/001.jpg"), ("images",)),
    "an id with a folder in a tar": ("a/001", ("i.tar/x/a/001.jpg", "i.tar/y/a/001.jpg"), ("i.tar",)),
    "two spellings of one name": ("caf\xe9", ("images/caf\xe9.jpg", "images/cafe\u0301.jpg"), ("images",)),
}


@pytest.mark.parametrize("content", [SMALL, OTHER, b""], ids=["smaller", "of its size", "empty"])
@pytest.mark.parametrize("what", AMBIGUOUS)
def test_a_photo_with_other_bytes_elsewhere_is_refused_naming_id_and_places(
    tmp_path: Path, what: str, content: bytes
) -> None:
    image_id, names, images = AMBIGUOUS[what]
    lay_out(tmp_path, {names[0]: content, names[1]: ONE, "images/fine.jpg": ONE})
    with pytest.raises(InputError) as refusal:
        plan_of(tmp_path, ["fine", image_id], images)
    said = str(refusal.value)
    quote = "" if image_id.isascii() else "'"
    assert f"--images: 1 photos lie in several places that hold other bytes: {image_id} in {quote}{tmp_path}/" in said
    for name, size in zip(names, (len(content), len(ONE)), strict=True):
        shown = name.replace(".tar/", ".tar: ").rstrip("*")
        shown = shown if shown.isascii() else ascii(shown).lstrip("'")  # two spellings look alike
        assert f"{shown} ({size:,} bytes)" in said
    assert not (tmp_path / "out/run/plan").exists()


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_copies_with_the_same_bytes_pass_and_are_counted(tmp_path: Path, what: str) -> None:
    image_id, names, images = AMBIGUOUS[what]
    lay_out(tmp_path, {names[0]: ONE, names[1]: ONE})
    assert plan_of(tmp_path, [image_id], images).photos_copied == 1
    assert read_planned(tmp_path, images) == {image_id: ONE}


def test_many_photos_in_several_places_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    ids = [f"{number:03}" for number in range(20)]
    lay_out(tmp_path, {f"images/{sub}/{name}.jpg": sub.encode() for name in ids for sub in ("thumb", "whole")})
    with pytest.raises(InputError, match=r"20 photos lie in .* and 17 more; leave one file") as refusal:
        plan_of(tmp_path, ids, photos_per_unit=4)
    assert str(refusal.value).count("thumb/") == 3
    lay_out(tmp_path, {f"images/thumb/{name}.jpg": b"whole"[: 5 - (name == "007")] for name in ids})
    with pytest.raises(InputError, match=r"1 photos lie in .*: 007 in .*thumb/007.jpg \(4 bytes\) and "):
        plan_of(tmp_path, ids)


def test_only_planned_photos_must_be_clear(tmp_path: Path) -> None:
    ids = [f"{number:03}" for number in range(20)]
    lay_out(tmp_path, {f"images/{name}.jpg": ONE for name in ids})
    plan_of(tmp_path, ids, limit=5)
    planned = set(read_planned(tmp_path))
    lay_out(tmp_path, {f"images/sub/{name}.jpg": OTHER for name in ids if name not in planned})
    assert plan_of(tmp_path, ids, limit=5).photos_copied == 0
    assert set(read_planned(tmp_path)) == planned
    with pytest.raises(InputError, match="15 photos"):
        plan_of(tmp_path, ids)


def test_one_file_that_is_found_on_several_ways_is_one(tmp_path: Path) -> None:
    lay_out(tmp_path, {"images/train/ID.jpg": ONE, "images/a.tar/b/ID2.jpg": ONE, "images/train/x.txt": OTHER})
    os.link(tmp_path / "images/train/ID.jpg", tmp_path / "images/ID.png")
    (tmp_path / "images/train_0").symlink_to("train")
    (tmp_path / "images/fine.jpg").mkdir()
    (tmp_path / "images/lost").mkdir()
    (tmp_path / "images/lost/ID.jpg").symlink_to("nothing")
    images = ("images", "images/train", "images/*.tar")
    assert plan_of(tmp_path, ["ID", "ID2"], images).photos_copied == 0
    assert read_planned(tmp_path, images) == {"ID": ONE, "ID2": ONE}


@pytest.mark.parametrize(
    ("members", "found"),
    [
        (("x/a/001.jpg", "b/002.jpg"), {"a/001": "x/a/001.jpg", "001": "x/a/001.jpg", "b/002": "b/002.jpg"}),
        (("a/001.jpg", "b/001.jpg"), {"a/001": "a/001.jpg", "b/001": "b/001.jpg"}),
        (("./a/001.JPG", "/b/c.d.png"), {"a/001.JPG": "./a/001.JPG", "c.d": "/b/c.d.png", "b/c.d.png": "/b/c.d.png"}),
        (("x../../a/001.jpg", "cafe\u0301/1.tif"), {"a/001": "x../../a/001.jpg", "caf\xe9/1": "cafe\u0301/1.tif"}),
    ],
)
def test_an_id_means_a_photo_of_a_tar_by_any_end_of_its_path(
    tmp_path: Path, members: tuple[str, ...], found: dict[str, str]
) -> None:
    lay_out(tmp_path, {f"i.tar/{member}": member.encode() for member in members})
    plan_of(tmp_path, [*found, "../a/001", "1/a/001", "01", "none"], ("i.tar",))
    where = {}
    for unit in read_units(Folder(str(tmp_path / "out"))).to_pylist():
        rows = read_unit_boxes(Folder(str(tmp_path / "out")), file=unit["file"], row_group=unit["row_group"])
        where |= {row["image_id"]: row for row in rows.to_pylist() if row["archive"]}
    tar = (tmp_path / "i.tar").read_bytes()
    read = {name: tar[row["archive_offset"] :][: row["archive_size"]].decode() for name, row in where.items()}
    assert read == found


@pytest.mark.parametrize("suffix", [".JpG", ".jfif", ".JFIF", ".Tif", ".tif", ".WebP", ".webp", ".PNG"])
@pytest.mark.parametrize("place", ["images/", "images/sub/", "images/a.tar/x/"])
def test_photos_are_found_by_their_suffix_in_any_case(
    tmp_path: Path, jpeg: Callable[..., bytes], place: str, suffix: str
) -> None:
    lay_out(tmp_path, {f"{place}ID{suffix}": jpeg((8, 8)), "images/fine.jpg": ONE})
    plan_of(tmp_path, ["ID"])
    assert read_planned(tmp_path)["ID"] == jpeg((8, 8))
