"""Tables that a flag names twice."""

import gzip
import os
from pathlib import Path

import pytest

from pipeline.boxes.listing import list_tables, refuse_copies
from pipeline.errors import InputError


def test_globs_that_overlap_are_refused_naming_the_table(tmp_path: Path) -> None:
    for name in ("test.csv", "train.csv"):
        (tmp_path / name).write_text(name)
    with pytest.raises(InputError, match=r"--boxes .*train.csv: is given twice, perhaps by globs that overlap"):
        list_tables("--boxes", [f"{tmp_path}/t*.csv", f"{tmp_path}/train*"], anonymous=False)
    assert len(list_tables("--boxes", [f"{tmp_path}/te*.csv", f"{tmp_path}/tr*.csv"], anonymous=False)) == 2


@pytest.mark.parametrize("copy", ["train (1).csv", "a/train.csv", "link.csv"])
def test_a_copy_is_refused_naming_both_files(tmp_path: Path, copy: str) -> None:
    content = b"ImageID,LabelName\n" * 10
    (tmp_path / "train.csv").write_bytes(content)
    (tmp_path / "a").mkdir()
    if copy == "link.csv":
        os.link(tmp_path / "train.csv", tmp_path / copy)
    else:
        (tmp_path / copy).write_bytes(content)
    (tmp_path / "other.csv").write_bytes(content.replace(b"I", b"J", 1))  # of the same size
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(content))
    urls = [str(tmp_path / name) for name in ("train.csv", "other.csv", "packed.csv.gz", "absent.csv")]
    refuse_copies("--image-info", urls, anonymous=False)
    with pytest.raises(InputError) as refusal:
        refuse_copies("--image-info", [*urls, str(tmp_path / copy)], anonymous=False)
    assert f"--image-info {tmp_path}/{copy}: holds the same bytes as {tmp_path}/train.csv" in str(refusal.value)
