"""Image ids of tables and names of files that one system composes and another does not."""

import tarfile
import unicodedata
from pathlib import Path

import pyarrow as pa

from pipeline.boxes.denied import read_denied
from pipeline.boxes.hashed_files import TableDigest
from pipeline.boxes.tables import stream_boxes, stream_columns
from pipeline.photos.archives import index_archive
from pipeline.photos.id_forms import IdForms
from pipeline.photos.store import PhotoStore
from schemas.boxes import ID_COLUMN
from tests.object_storage import Proxy

NFC = "M\u00fcnster 1"
NFD = unicodedata.normalize("NFD", NFC)
SIDES = "XMin,YMin,XMax,YMax"


def test_ids_of_all_tables_and_archives_become_one_form(tmp_path: Path) -> None:
    boxes, denied, archive = tmp_path / "boxes.csv", tmp_path / "deny.csv", tmp_path / "a.tar"
    boxes.write_text(f"ImageID,LabelName,{SIDES},Rotation\n{NFD},/m/1,0,0,1,1,90\n{NFC},/m/1,0,0,1,1,90\n")
    denied.write_text(f"image_id,box_id,label,{SIDES}\n{NFD},,,,,,\n")
    (tmp_path / "photo").write_bytes(b"x")
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "photo", f"{NFD}.jpg")
    [block] = stream_boxes(str(boxes), TableDigest(), anonymous=False)
    columns = {ID_COLUMN: pa.string(), "Rotation": pa.string()}
    [info] = stream_columns(str(boxes), columns, TableDigest(), anonymous=False)
    assert block[ID_COLUMN].to_pylist() == info[ID_COLUMN].to_pylist() == [NFC, NFC]
    assert read_denied(str(denied)).rows["image_id"].to_pylist() == [NFC]
    assert index_archive(str(archive), IdForms(frozenset({0})), anonymous=False)["image_id"].to_pylist() == [NFC]


def test_a_photo_is_found_by_its_id_in_any_form(tmp_path: Path, s3: Proxy) -> None:
    (tmp_path / "train_u").mkdir()
    for folder, root in ((tmp_path / "train_u", tmp_path), (None, "s3://bucket/d")):
        for form in ("NFC", "NFD"):
            stored = unicodedata.normalize(form, f"\u00fc{form}.jpg")
            if folder:
                (folder / stored).write_text(form)
            else:
                s3.fill([f"d/train_u/{stored}"], form.encode())
        store = PhotoStore((str(root),), anonymous=False)
        for form in ("NFC", "NFD"):
            assert store.fetch(f"\u00fc{form}") == form.encode()
