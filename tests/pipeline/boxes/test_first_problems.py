"""The first bad rows of tables, wherever they stand."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.boxes import csv_blocks
from pipeline.boxes.first_problems import first_problems
from tests.pipeline.boxes.test_tables import HEADER, boxes_of_text

GOOD = "a,/m/1,0.1,0.9,0.1,0.9"


@pytest.mark.parametrize("block_bytes", [50, 8 << 20])
def test_the_first_bad_rows_are_named_by_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", block_bytes)
    (tmp_path / "good.csv").write_text("\n".join([HEADER, *[GOOD] * 9]))
    bad = ["b,/m/1,0.9,0.1,0.1,0.9", 'c,"/m/1",5,0.9,0.1,0.9', "d,/m/1,0.1", "e,/m/1,0.9,0.1,0.1,0.9"]
    (tmp_path / "bad.csv").write_text("\r\n".join([HEADER, *[GOOD] * 7, "", bad[0], GOOD, *bad[1:]]))
    urls = [str(tmp_path / name) for name in ("good.csv", "bad.csv")]
    lines, _ = first_problems(urls, {"empty_box": 2, "outside_photo": 1}, anonymous=False)
    assert lines == [
        f"{tmp_path}/bad.csv: line 10: column XMax: the box is empty, its end is not beyond its start",
        "line 12: column XMin: '5'; boxes are shares of the photo's width and height, 0..1",
        "line 13: 3 fields where the header has 6",
    ]


def test_rows_of_parquet_are_numbered(tmp_path: Path) -> None:
    table = boxes_of_text("\n".join([HEADER, GOOD, GOOD, "b,/m/1,0.9,0.1,0.1,0.9", "b,/m/1,,0.1,0.1,0.9"]))
    pq.write_table(table, tmp_path / "boxes.parquet")
    lines, _ = first_problems([str(tmp_path / "boxes.parquet")], {"empty_box": 1}, anonymous=False)
    assert lines == [
        f"{tmp_path}/boxes.parquet: row 3: column XMax: the box is empty, its end is not beyond its start",
        "row 4: column XMin: 'nan' is not a number",
    ]
