import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.boxes import csv_blocks
from pipeline.boxes.hashed_files import TableDigest
from pipeline.boxes.malformed import MALFORMED, malformed_position
from pipeline.boxes.tables import check_tables, stream_boxes
from pipeline.errors import InputError
from schemas.boxes import BOXES

HEADER = "ImageID,LabelName,XMin,XMax,YMin,YMax"


def read(path: Path) -> tuple[pa.Table, TableDigest]:
    digest = TableDigest()
    tables = list(stream_boxes(str(path), digest, anonymous=False))
    return pa.concat_tables(tables), digest


def boxes_of_text(text: str) -> pa.Table:
    header, _, lines = text.partition("\n")
    return csv_blocks.parse_block("boxes.csv", lines.encode(), header.split(","))[0]


def reasons(table: pa.Table) -> list[str]:
    return [MALFORMED[r] if r >= 0 else "" for r in malformed_position(table)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("only_commas_head.csv", "line 2: column ImageID is empty"),
        ("openimages_decimal_comma.csv", "line 2: column XMin: '0,3580246914' has a decimal comma"),
        (
            "pixel_coords_not_normalised.csv",
            "line 2: column XMin: '916.3845050215208'; boxes are shares of the photo's width and height",
        ),
        ("wrong_header_and_rows.csv", "none of the first 5 rows is a valid box"),
    ],
)
def test_odd_tables_are_refused_naming_file_line_and_column(real_data: Path, name: str, message: str) -> None:
    with pytest.raises(InputError) as refusal:
        check_tables([str(real_data / "odd_csv" / name)], anonymous=False)
    assert name in str(refusal.value)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (f"{HEADER}\n", "no rows below the header"),
        ("ImageID,LabelName,XMin,XMax,YMin\na,/m/1,0,1,0\n", "line 1: missing column YMax"),
        ("ImageID;LabelName;XMin;XMax;YMin;YMax\na;/m/1;0;1;0;1\n", "separated by ';'"),
        (f"{HEADER}\na,/m/1,0.5,0.5,0,1\n", "column XMax: the box is empty"),
        (f"{HEADER}\na,/m/1,0,5,0,7,0,2\n", "8 fields where the header has 6"),
        (f"{HEADER}\na,/m/1,zero,1,0,1\n", "column XMin: 'zero' is not a number"),
        (f"{HEADER}\na,/m/1,10%,60%,0%,9%\n", "column XMin: '10%' is a percentage; write 0.5, not 50%"),
    ],
)
def test_tables_without_one_valid_box_are_refused(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=r"boxes\.csv") as refusal:
        check_tables([str(table)], anonymous=False)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEADER}\na,/m/1,0,1,0,1\n".encode("utf-16"), "; it seems to be UTF-16; found"),
        (f"{HEADER}\na,/m/1,0,1,0,1\n".replace(",", "\t").encode(), "; the fields seem to be separated by tabs"),
        (f"{HEADER},XMin\na,/m/1,0,1,0,1,0\n".encode(), "line 1: column XMin is there twice; leave one of them"),
        (f"{HEADER}\na,/m/1,0,1,0,1\n".encode() + b"caf\xe9,/m/1,0,1\n", "b'caf\\xe9,/m/1,0,1' is not UTF-8"),
    ],
)
def test_other_encodings_and_separators_are_refused_saying_which(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "boxes.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"boxes\.csv: ") as refusal:
        check_tables([str(tmp_path / "boxes.csv")], anonymous=False)
        read(tmp_path / "boxes.csv")
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("pack", "message"),
    [
        (gzip.compress, "holds gzip, which its name does not say; name it ....csv.gz"),
        (bz2.compress, "holds bzip2, which its name does not say; name it ....csv.bz2"),
        (lzma.compress, "holds xz, which its name does not say; name it ....csv.xz"),
        (lambda data: b"PAR1" + data, "holds Parquet, which its name does not say; name it ....parquet"),
    ],
)
def test_a_table_whose_name_hides_its_form_is_refused_naming_that(
    tmp_path: Path, pack: Callable[[bytes], bytes], message: str
) -> None:
    (tmp_path / "boxes.csv").write_bytes(pack(f"{HEADER}\na,/m/1,0,1,0,1\n".encode()))
    with pytest.raises(InputError, match=r"boxes\.csv: ") as refusal:
        check_tables([str(tmp_path / "boxes.csv")], anonymous=False)
    assert message in str(refusal.value)


def test_suffixes_of_tables_may_have_any_case(tmp_path: Path) -> None:
    parquet_of(tmp_path / "boxes.PARQUET")
    (tmp_path / "boxes.CSV.GZ").write_bytes(gzip.compress(f"{HEADER}\na,/m/1,0,1,0,1\n".encode()))
    for name, rows in (("boxes.PARQUET", 2), ("boxes.CSV.GZ", 1)):
        check_tables([str(tmp_path / name)], anonymous=False)
        assert read(tmp_path / name)[1].rows == rows


def test_a_folder_in_the_place_of_a_table_is_refused_naming_the_glob(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder; give the tables in it, as a quoted glob: '.*/\*'"):
        check_tables([str(tmp_path)], anonymous=False)


def parquet_of(path: Path, **columns: object) -> Path:
    """A table of two boxes with some columns of another type."""
    sides = {"XMin": [0.1, 0.2], "YMin": [0.1, 0.2], "XMax": [0.7, 0.8], "YMax": [0.7, 0.8]}
    pq.write_table(pa.table({"ImageID": ["a", "b"], "LabelName": ["/m/1", "/m/2"], **sides, **columns}), path)
    return path


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        ("XMin", ["0.1", "x"], ["", "not_a_number"]),
        ("XMin", pa.nulls(2), ["not_a_number"] * 2),
        ("XMin", pa.array([0.1, 0.2]).cast(pa.decimal128(5, 3)), [""] * 2),
        ("XMin", [2**60, 0], ["outside_photo", ""]),
        ("ImageID", pa.array([7, 8]), [""] * 2),
        ("ImageID", pa.array(["a", None]).dictionary_encode(), ["", "no_image_id"]),
        ("LabelName", [b"/m/1", None], ["", "no_label"]),
        ("IsInside", [1.0, float("nan")], [""] * 2),  # as pandas writes a flag that is not always known
        ("IsInside", ["True", "odd"], ["", "bad_flag"]),
        ("IsInside", [300, 0], ["bad_flag", ""]),
    ],
)
def test_parquet_columns_of_other_types_are_read_as_csv_is(
    tmp_path: Path, column: str, values: object, why: list[str]
) -> None:
    path = parquet_of(tmp_path / "boxes.parquet", **{column: values})
    check_tables([str(path)], anonymous=False)
    assert reasons(read(path)[0]) == why


@pytest.mark.parametrize("values", [[[0.1], [0.2]], [{"x": 0.1}, {"x": 0.2}], pa.array([1, 2], pa.date32())])
def test_parquet_columns_that_hold_no_values_are_refused_by_name(tmp_path: Path, values: object) -> None:
    path = parquet_of(tmp_path / "boxes.parquet", XMin=values)
    with pytest.raises(InputError, match=r"boxes.parquet: column XMin holds .*; give double or text"):
        check_tables([str(path)], anonymous=False)


def test_an_absent_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not found"):
        check_tables([str(tmp_path / "none.csv")], anonymous=False)


def test_one_valid_row_among_bad_ones_is_enough_to_begin(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(f"{HEADER}\na,/m/1,5,6,0,1\na,/m/1,0,1,0,1\n")
    check_tables([str(table)], anonymous=False)


def test_columns_may_come_in_any_order_and_flags_may_be_absent_or_empty(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text("\ufeffYMax,Extra,IsGroupOf,YMin,XMax,XMin,LabelName,ImageID\r\n.9,x,,0.1,0.8,0.2,/m/1,a\r\n")
    check_tables([str(table)], anonymous=False)
    read_back, _ = read(table)
    row = read_back.to_pylist()[0]
    assert [row[name] for name in ("ImageID", "XMin", "YMin", "XMax", "YMax")] == ["a", 0.2, 0.1, 0.8, 0.9]
    assert {row[name] for name in BOXES.names if name.startswith("Is")} == {-1}


def test_each_kind_of_bad_row_has_its_reason_and_spares_its_neighbours(tmp_path: Path) -> None:
    rows = {
        "a,/m/1,0.1,0.9,0.1,0.9,1": "",
        ",/m/1,0.1,0.9,0.1,0.9,1": "no_image_id",
        "a,,0.1,0.9,0.1,0.9,1": "no_label",
        "a,/m/1,nan,0.9,0.1,0.9,1": "not_a_number",
        "a,/m/1,,0.9,0.1,0.9,1": "not_a_number",
        "a,/m/1,0x1,0.9,0.1,0.9,1": "not_a_number",
        "a,/m/1,inf,0.9,0.1,0.9,1": "not_a_number",
        "a,/m/1,0.1,1.002,0.1,0.9,1": "outside_photo",
        "a,/m/1,-0.0009,1.0009,0.1,0.9,1": "",
        "a,/m/1,0.9,0.1,0.1,0.9,1": "empty_box",
        "a,/m/1,0.1,0.9,0.5,0.5,1": "empty_box",
        "a,/m/1,1.0001,1.0005,0.1,0.9,1": "empty_box",
        "a,/m/1,0.1,0.9,0.1,0.9,7": "bad_flag",
        "a,/m/1,0.1,0.9,0.1,0.9,yes": "bad_flag",
        "a,/m/1,0.1,0.9,0.1,0.9,-1": "",
        "a,/m/1,1e-1,9.e-1,.1,0.9,0": "",
    }
    table = tmp_path / "boxes.csv"
    table.write_text(f"{HEADER},IsGroupOf\n" + "\n".join(rows) + "\nb,/m/1,0.1\n")
    read_back, digest = read(table)
    assert reasons(read_back) == list(rows.values())
    assert [drop["reason"] for drop in digest.wrong_width] == ["wrong_field_count"]
    assert digest.rows == len(rows) + 1


def test_blocks_of_any_size_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(HEADER + "\n" + "\n".join(f"id{i},/m/{i % 3},0.1,0.{i % 9 + 1}5,0.2,0.9" for i in range(300)))
    whole, whole_digest = read(table)
    for size in (61, 100, 1000):
        monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", size)
        in_blocks, digest = read(table)
        assert in_blocks.equals(whole)
        assert (digest.rows, digest.sha256, digest.bytes) == (300, whole_digest.sha256, table.stat().st_size)


def test_gzip_and_parquet_read_as_the_csv_does(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(f"{HEADER},IsGroupOf\na,/m/1,0.1,0.9,0.1,0.9,1\nb,/m/2,0.2,0.8,0.1,0.9,0\n")
    plain, _ = read(table)
    packed = tmp_path / "boxes.csv.gz"
    packed.write_bytes(gzip.compress(table.read_bytes()))
    check_tables([str(packed)], anonymous=False)
    assert read(packed)[0].equals(plain)
    columns = tmp_path / "boxes.parquet"
    pq.write_table(plain.select([n for n in plain.column_names if n != "IsInside"]), columns)
    check_tables([str(columns)], anonymous=False)
    assert read(columns)[0].equals(plain)


def test_every_real_table_gives_as_many_rows_as_lines(real_data: Path) -> None:
    names = ["openimages_v6_train100/oidv6-train-annotations-bbox.csv", "realset256/train-annotations-bbox.csv"]
    for path in [real_data / name for name in names]:
        read_back, digest = read(path)
        assert digest.rows == len(read_back) == sum(1 for _ in path.open()) - 1
        assert np.all(malformed_position(read_back) == -1)


def test_flags_may_be_written_as_pandas_and_databases_write_them(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    flags = {"1.0": 1, "0.0": 0, "True": 1, "false": 0, "-1.0": -1, "nan": -1, "": -1, "NA": -1}
    table.write_text(f"{HEADER},IsGroupOf\n" + "".join(f"a,/m/1,0.1,0.9,0.1,0.9,{flag}\n" for flag in flags))
    read_back, _ = read(table)
    assert read_back["IsGroupOf"].to_pylist() == list(flags.values())
    assert reasons(read_back) == [""] * len(flags)


@pytest.mark.parametrize("last", ["", "\nb,/m/2,0.1,0.9,0.1,0.9"])
def test_a_stray_quote_does_not_swallow_its_neighbours(tmp_path: Path, last: str) -> None:
    table = tmp_path / "boxes.csv"
    rows = [f"id{i},/m/1,0.1,0.9,0.1,0.9" for i in range(20)]
    rows[3] = '"' + rows[3]
    rows[9] += '"' * bool(last)
    table.write_text(f"{HEADER}\n" + "\n".join(rows) + last + "\n")
    read_back, digest = read(table)
    assert digest.rows == len(rows) + bool(last)
    assert reasons(read_back).count("") >= len(rows) - 2


def test_quoted_fields_are_read_as_csv_has_them(tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(f'{HEADER}\n"a, b","/m/1","0.1",0.9,0.1,0.9\n\nc,/m/1,0.1,0.9,0.1,0.9\n')
    assert read(table)[0]["ImageID"].to_pylist() == ["a, b", "c"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("boxes.csv.gz", b"ImageID,LabelName"),
        ("cut.csv.gz", gzip.compress(HEADER.encode() * 1000, mtime=0)[:-20]),
        ("boxes.csv.zip", b"PK"),
        ("boxes.parquet", b"no parquet"),
        ("bytes.csv", HEADER.encode() + b"\n\xff\xfe,/m/1,0.1,0.9,0.1,x\n"),
    ],
)
def test_damaged_tables_are_refused_without_a_traceback(tmp_path: Path, name: str, content: bytes) -> None:
    table = tmp_path / name
    table.write_bytes(content)
    with pytest.raises(InputError, match=name.split(".")[0]):
        check_tables([str(table)], anonymous=False)
        read(table)
