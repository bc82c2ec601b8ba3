"""What is a name, what a URL, what a chain of URLs."""

import os
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute, absolute_output, filesystem, is_local
from tests.pipeline.storage.odd_names import ODD_NAMES


def test_urls_stay_and_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("runs/a") == str(tmp_path / "runs/a")
    assert absolute("memory://bucket/a/") == "memory://bucket/a"


def test_an_unknown_scheme_is_refused_without_a_traceback() -> None:
    with pytest.raises(InputError, match="nowhere://a"):
        absolute("nowhere://a")


@pytest.mark.parametrize("url", ["a\0b", "/a\0", "s3://bucket/a\0", "zip://a::b\0.zip"])
def test_a_name_with_nul_is_refused(url: str) -> None:
    with pytest.raises(InputError, match=r"\\x00.*: holds a NUL character, which no name has"):
        absolute(url)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_local_path_is_a_name_whatever_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    absolute_name = str(tmp_path / name)
    assert absolute(absolute_name) == absolute_output("--out", f"{absolute_name}/") == absolute_name
    assert absolute(f"runs/{name}") == absolute_output("--out", f"./runs/{name}") == str(tmp_path / "runs" / name)
    if name != "~":
        assert absolute_output("--out", name) == absolute_name
        Path(name).mkdir()
        assert absolute(name) == absolute_name
    folder = Folder(absolute_name)
    folder.write(f"{name}/a", b"1")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert (folder.read(f"{name}/a"), folder.read_range(f"{name}/a", 0, 1), folder.names(name)) == (b"1", b"1", ["a"])
    assert folder.create("b", b"2") and not folder.create("b", b"3")
    folder.remove(name)
    assert sorted(folder.names("")) == ["b", "run"]


def test_a_home_is_meant_by_a_tilde_and_a_slash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert [absolute(url) for url in ("~", "~/a", "/x/~/a")] == ["/home/me", "/home/me/a", "/x/~/a"]


def test_a_file_url_is_decoded_where_only_what_it_encodes_is_there(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    assert absolute(f"file://{tmp_path}/a%20b") == absolute(f"file://{tmp_path}/a b") == str(tmp_path / "a b")
    assert absolute(f"file://{tmp_path}/a%20b/new") == str(tmp_path / "a b/new")
    assert absolute(f"file://{tmp_path}/new%20") == str(tmp_path / "new%20")
    (tmp_path / "a%20b").mkdir()
    assert absolute(f"file://{tmp_path}/a%20b") == str(tmp_path / "a%20b")


def test_a_key_on_object_storage_is_a_name_too() -> None:
    for name in ODD_NAMES:
        fs, path = filesystem(f"s3://bucket/{name}/b")
        assert path == f"bucket/{name}/b"
        assert fs.split_path(path) == ("bucket", f"{name}/b", None)


def test_what_wraps_files_is_read_through_and_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("a::[1].zip", "w") as archive:
        archive.writestr("p[1]/b.csv", "in the zip")
    for chain in ("zip://p[1]::a::[1].zip", f"zip://p[1]::simplecache::file://{tmp_path}/a::[1].zip"):
        assert Folder(absolute(chain)).read("b.csv") == b"in the zip"
        with pytest.raises(InputError, match=r"--out zip://p\[1\]::.*can only be read"):
            absolute_output("--out", chain)
    with pytest.raises(InputError, match=r"zip://b.csv::none.zip: cannot be opened"):
        filesystem("zip://b.csv::none.zip")
    assert is_local("a::[1].zip")
    assert os.listdir() == ["a::[1].zip"]  # noqa: PTH208


@pytest.mark.parametrize("url", ["s3://", "s3:/", "gs://", "s3:"])
def test_an_address_without_a_place_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="no place in it"):
        absolute(url)
