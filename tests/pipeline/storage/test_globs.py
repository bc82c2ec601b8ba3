"""Patterns, and names that look like some."""

import zipfile
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.globs import expand
from tests.pipeline.storage.odd_names import ODD_NAMES


def test_globs_are_sorted_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).touch()
    assert expand(f"{tmp_path}/*.csv") == [f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"]
    with pytest.raises(InputError, match="no file matches"):
        expand(f"{tmp_path}/*.parquet")


def test_an_existing_name_with_glob_marks_is_that_name(tmp_path: Path) -> None:
    (tmp_path / "p[1]").mkdir()
    assert expand(f"{tmp_path}/p[1]") == [f"{tmp_path}/p[1]"]
    assert expand("https://host/a.csv?download=1") == ["https://host/a.csv?download=1"]


def test_a_pattern_below_a_folder_with_marks_in_its_name_looks_there_alone(tmp_path: Path) -> None:
    for root in (str(tmp_path), "memory:///globs"):
        for name in ("p[1]*/a[1].csv", "p[1]*/b.csv", "p[1]*/c/d.csv", "p1/a1.csv", "p1*/a1.csv"):
            Folder(root).write(name, b"x")
        inside = f"{root}/p[1]*"
        assert expand(f"{inside}/*.csv") == [f"{inside}/a[1].csv", f"{inside}/b.csv"]
        assert expand(f"{inside}/a[1].csv") == [f"{inside}/a[1].csv"]
        assert expand(f"{inside}/**/*.csv")[-1] == f"{inside}/c/d.csv"
        assert expand(f"{root}/p[0-9]/*.csv") == [f"{root}/p1/a1.csv"]
        assert expand(f"{root}/p?*/a1.csv") == [f"{root}/p1*/a1.csv", f"{root}/p1/a1.csv"]
        with pytest.raises(InputError, match="no file matches"):
            expand(f"{inside}/*.parquet")


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if name != "~"])
def test_every_name_that_is_there_is_meant_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).touch()
    assert expand(name) == [name]
    assert expand(str(tmp_path / name)) == [str(tmp_path / name)]


def test_a_pattern_looks_into_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t[1].zip", "w") as archive:
        for name in ("d/a.csv", "d/b.csv", "c.csv"):
            archive.writestr(name, "x")
    assert expand(f"zip://d/*.csv::{tmp_path}/t[1].zip") == [f"zip://d/{n}.csv::{tmp_path}/t[1].zip" for n in "ab"]
