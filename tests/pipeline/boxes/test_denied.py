import hashlib
from pathlib import Path

import pytest

from pipeline.boxes.denied import read_denied
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from schemas.tagged import TAGGED_COLUMNS
from tests.object_storage import Proxy

HEADER = ",".join(TAGGED_COLUMNS)
BOX = "0.1,0.2,0.5,0.6"


def written(folder: Path, *lines: str) -> str:
    path = folder / "tagged.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_rows_name_a_box_or_a_photo_whatever_else_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "tagged.csv"
    header = "\ufeff box_id ,image_id,label,XMin,YMin,XMax,YMax,mine"
    text = "\r\n".join([header, "", f'7,"a, b",/m/1,{BOX},x', ",a,,,,,,", " 0 ,a,,nan,0,0,0,", ""])
    path.write_bytes(text.encode())
    denied = read_denied(str(path))
    rows = [tuple(row.values()) for row in denied.rows.to_pylist()]
    assert rows[:2] == [("a, b", 7, "/m/1", 0.1, 0.2, 0.5, 0.6, 3), ("a", None, "", None, None, None, None, 4)]
    assert rows[2][:3] == ("a", 0, "")
    assert denied.spec == f"denied={hashlib.sha256(text.encode()).hexdigest()}"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "line 1: missing column image_id, box_id"),
        (["image_id,box_id,label,XMin,YMin,XMax", "a,0,,0,0,1"], "line 1: missing column YMax; found image_id, box_id"),
        ([f"{HEADER},box_id", f"a,0,,{BOX},,,1"], "line 1: column box_id is there twice"),
        ([HEADER], "no rows below the header; leave --deny out"),
        ([HEADER, f"a,0,,{BOX}"], "line 2: has another number of fields"),
        ([HEADER, f"a,0,,{BOX},,,,"], "line 2: has another number of fields"),
        ([HEADER, f",0,,{BOX},,"], "line 2: image_id is empty; name a photo"),
        ([HEADER, f"a,0,,{BOX},,", f"a,1.0,,{BOX},,"], "line 3: box_id '1.0': give a whole number from 0"),
        ([HEADER, f"a,-1,,{BOX},,"], "line 2: box_id '-1'"),
        ([HEADER, f"a,²,,{BOX},,"], "line 2: box_id '²'"),
        ([HEADER, f"a,2147483648,,{BOX},,"], "line 2: box_id '2147483648'"),
        ([HEADER, 'a,0,,0.1,"0,2",0.5,0.6,,'], "line 2: YMin '0,2': is not a number"),
        ([HEADER, "a,0,,0.1,,0.5,0.6,,"], "line 2: YMin '': is not a number"),
        ([HEADER, f"a,0,,{BOX},,", f"a,,,{BOX},,", f"a,0,,{BOX},,"], "lines 2 and 4 both name box 0 of photo a; keep"),
        ([HEADER, "a,,,,,,,,", "a,,,,,,,,"], "lines 2 and 3 both name all boxes of photo a"),
        ([HEADER, 'a,"0'], "cannot be read (unexpected end of data)"),
    ],
)
def test_what_is_no_list_of_boxes_is_refused_by_line_and_value(tmp_path: Path, lines: list[str], message: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(InputError) as refusal:
        read_denied(path)
    assert str(refusal.value).startswith(f"--deny {path}: ") and message in str(refusal.value)


def test_a_missing_file_a_folder_and_another_encoding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--deny .*missing\.csv: no such file; give the CSV"):
        read_denied(str(tmp_path / "missing.csv"))
    with pytest.raises(InputError, match=r"--deny .*: no such file"):
        read_denied(str(tmp_path))
    (tmp_path / "latin.csv").write_bytes(f"{HEADER}\nü,,,,,,,,\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"--deny .*latin\.csv: cannot be read .*; give a CSV in UTF-8"):
        read_denied(str(tmp_path / "latin.csv"))


def test_a_list_may_lie_on_object_storage(s3: Proxy) -> None:
    Folder("s3://bucket/lists").write("tagged.csv", f"{HEADER}\na,,,,,,,,\n".encode())
    assert read_denied("s3://bucket/lists/tagged.csv").rows["image_id"].to_pylist() == ["a"]
    with pytest.raises(InputError, match=r"--deny s3://bucket/lists/none\.csv: no such file"):
        read_denied("s3://bucket/lists/none.csv")
