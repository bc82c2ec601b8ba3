"""The command: what it writes, what it says, and what it refuses, at once and in a sentence."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboards.browse import main
from pipeline.command import EXIT_USAGE
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from schemas.shards import MANIFEST
from tests.object_storage import Proxy
from tests.pbe.refusals import assert_refused_at_once, refuse_all
from tests.synthetic import write_manifest

Make = Callable[..., PreparedJob]
Said = pytest.CaptureFixture[str]


def test_it_writes_the_sheet_and_ends_by_saying_what_is_in_it(finished: Path, tmp_path: Path, capsys: Said) -> None:
    page = tmp_path / "page.html"
    assert main([str(finished), "--sheet", str(page)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("14 of 14 samples, ") and said[0].endswith(" MiB")
    assert said[1] == f"sheet: {page}  (open it in a browser)"
    assert page.read_bytes().count(b"<article ") == 14
    assert list(tmp_path.iterdir()) == [page]


def test_a_dataset_on_object_storage_gives_the_same_page_there(finished: Path, tmp_path: Path, s3: Proxy) -> None:
    page = tmp_path / "page.html"
    assert main([str(finished), "--sheet", str(page)]) == 0
    bucket = Folder("s3://bucket")
    for path in finished.rglob("*.*"):
        if path.is_file():
            bucket.fs.put_file(str(path), bucket.path(f"d[1]/{path.relative_to(finished)}"))
    asked = len(s3.requests)
    assert main(["s3://bucket/d[1]", "--sheet", "s3://bucket/page*.html"]) == 0
    assert bucket.read("page*.html") == page.read_bytes()
    ranges = [path for method, path in s3.requests[asked:] if method == "GET" and path.split("?")[0].endswith(".tar")]
    assert len(ranges) == 14  # one range request a sample
    assert main(["s3://bucket/nothing", "--sheet", str(page)]) == EXIT_USAGE


def test_where_and_limit_choose_and_the_last_line_says_how_to_see_more(
    finished: Path, tmp_path: Path, capsys: Said
) -> None:
    page = tmp_path / "page.html"
    flags = ["--where", "split=train", "--where", "mask_share<0.3", "--limit", "2", "--sheet", str(page)]
    assert main([str(finished), *flags]) == 0
    said = capsys.readouterr().out
    assert said.startswith("2 of 6 that match, of 14 samples, ")
    assert "--limit 6 shows more" in said
    html = page.read_text()
    assert html.count("<article ") == 2
    assert "<code>split=train</code> and <code>mask_share&lt;0.3</code>" in html


def test_an_unfinished_dataset_is_shown_as_far_as_it_is(make: Make, tmp_path: Path, capsys: Said) -> None:
    make(tmp_path / "data", finish=False, draws=1)
    page = tmp_path / "page.html"
    assert main([str(tmp_path / "data"), "--sheet", str(page)]) == 0
    assert capsys.readouterr().out.startswith("7 of 7 samples")
    assert "unfinished: 3 finished shards so far" in page.read_text()


def test_lost_shards_and_indexes_are_named_and_the_rest_is_shown(dataset: Path, tmp_path: Path, capsys: Said) -> None:
    (dataset / "shards/train/000000-d00.tar").unlink()
    (dataset / "index/train/000001-d01.parquet").unlink()
    page = tmp_path / "page.html"
    assert main([str(dataset), "--sheet", str(page)]) == 0
    said = capsys.readouterr().out
    assert "3 of them cannot be shown" in said
    assert "left out: index/train/000001-d01.parquet: missing" in said
    html = page.read_text()
    assert "seeded" not in html and "shows more" not in said
    assert html.count("shards/train/000000-d00.tar is gone") == 3
    assert "3 of these samples cannot be shown" in html and "index/train/000001-d01.parquet: missing" in html


def test_a_failed_write_leaves_an_older_page_as_it_was(finished: Path, tmp_path: Path, capsys: Said) -> None:
    page = tmp_path / "page.html"
    page.write_text("older")
    aside = page.with_name(f".{page.name}.pbe-writing{os.getpid()}")
    aside.mkdir()  # what is to be written aside cannot be
    assert main([str(finished), "--sheet", str(page)]) == 1
    assert page.read_text() == "older" and "stopped: " in capsys.readouterr().err


def test_another_schema_version_is_refused(dataset: Path, tmp_path: Path, capsys: Said) -> None:
    folder = Folder(str(dataset))
    write_manifest(folder, {**read_manifest(folder), "schema_version": 99})
    assert main([str(dataset), "--sheet", str(tmp_path / "page.html")]) == EXIT_USAGE
    assert "schema version 99" in capsys.readouterr().err


def test_a_vae_that_did_not_encode_the_dataset_is_refused(make: Make, tmp_path: Path, capsys: Said) -> None:
    make(tmp_path / "data", keep_source=False, draws=1)
    flags = ["--sheet", str(tmp_path / "page.html"), "--vae"]
    manifest = read_manifest(Folder(str(tmp_path / "data")))
    manifest["recipe"]["vae"]["fingerprint"] = "0"
    write_manifest(Folder(str(tmp_path / "data")), manifest)
    assert main([str(tmp_path / "data"), *flags, "untrained"]) == EXIT_USAGE
    assert "--vae untrained: is not the one that the dataset was encoded with" in capsys.readouterr().err


def test_sources_that_are_not_stored_come_from_the_photos_where_these_are_given(
    make: Make, tmp_path: Path, sample_folder: Path, capsys: Said
) -> None:
    make(tmp_path / "data", keep_source=False, draws=1)
    page = tmp_path / "page.html"
    assert main([str(tmp_path / "data"), "--sheet", str(page)]) == 0
    placed = page.read_bytes()
    assert b"they are not stored, so that the exemplar is shown at its place" in placed
    assert main([str(tmp_path / "data"), "--sheet", str(page), "--images", str(sample_folder / "train")]) == 0
    assert b"sources cut anew from the photos" in page.read_bytes()


@pytest.mark.processes
def test_each_mistake_is_refused_at_once_with_value_place_and_remedy(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    data = str(finished)
    lines: dict[str, tuple[list[str], list[str]]] = {
        "no folder": (["nowhere", "--sheet", "page.html"], ["nowhere: no such folder"]),
        "a file": (["file", "--sheet", "page.html"], ["is a file; give the folder"]),
        "nothing there": (["empty", "--sheet", "page.html"], ["empty: nothing to look at", MANIFEST]),
        "no name": (["", "--sheet", "page.html"], ["DATASET: is empty"]),
        "nothing given": (["--sheet", "page.html"], ["DATASET: is missing"]),
        "two in FiftyOne": ([data, "empty"], [f"{data} and empty: give one folder, or --sheet"]),
        "a folder": ([data, "--sheet", "empty"], ["--sheet empty: is a folder", "empty/page.html"]),
        "a folder of tags": ([data, "--tagged", "empty"], ["--tagged empty: is a folder", "empty/tagged.csv"]),
        "pictures into a file": ([data, "--extract", "file"], ["--extract file: ", "file is a file"]),
        "pictures elsewhere": ([data, "--extract", "s3://b/x"], ["--extract s3://b/x: give a folder on this machine"]),
        "no number": ([data, "--sheet", "p.html", "--where", "cover<nan"], ["--where 'cover<nan': 'nan' is not a"]),
        "no place": ([data, "--sheet", "gone/page.html"], ["--sheet gone/page.html: there is no folder"]),
        "below a file": ([data, "--sheet", "file/page.html"], ["--sheet file/page.html: ", "file is a file"]),
        "a column": ([data, "--sheet", "p.html", "--where", "labels=Dog"], ["--where 'labels=Dog': no column labels"]),
        "a form": ([data, "--sheet", "p.html", "--where", "Dog"], ["--where 'Dog': write COLUMN=VALUE"]),
        "a limit": ([data, "--sheet", "p.html", "--limit", "-1"], ["--limit -1"]),
    }
    refused = refuse_all("dashboards.browse", {name: line for name, (line, _) in lines.items()}, folder=tmp_path)
    for name, (_, expected) in lines.items():
        assert_refused_at_once(refused[name], expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]
