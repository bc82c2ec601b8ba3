"""Evaluations as the run view reads them: the worst case first, what is damaged by name, and nothing that changed."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dashboards import browse
from dashboards.app.slices import slice_names
from dashboards.comparison import Comparison, fields_of, read_comparison, sorted_by
from dashboards.config import BrowseConfig
from dashboards.kinds import Kind, find_kind
from dashboards.loading import load_comparison
from dashboards.views.compared_media import ComparedMedia
from pbe.evaluate import main
from pbe.evaluation.summary import Metric
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from schemas.scores import BENCH, EVALUATION, SCORES_TABLE, SUMMARY
from tests.pbe.evaluation.running.small_bench import SIZE, write_bench, write_stranger

METHODS = ("identity", "stranger:Odd", "copy-paste@$a.b", "copy-paste@source", "stranger:Absent")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of methods that work, fail on some cases, have odd names, and cannot run."""
    place = tmp_path_factory.mktemp("evaluated")
    table = write_bench(place / "bench")
    write_stranger(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        assert main([*METHODS, "--bench", str(table), "--out", str(place / "run")]) == 0
    return place / "run"


@pytest.fixture
def run(evaluated: Path, tmp_path: Path) -> Path:
    """The same, to break; its bench stays where it was."""
    return Path(shutil.copytree(evaluated, tmp_path / "run"))


def read(run: Path) -> Comparison:
    return read_comparison(Folder(str(run)))


def change(file: Path, row: int, **values: Any) -> None:
    """Change a row of a Parquet file."""
    table = pq.read_table(io.BytesIO(file.read_bytes()))
    rows = table.to_pylist()
    rows[row] |= values
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)


def test_the_worst_case_of_the_first_row_that_is_no_control_comes_first(evaluated: Path) -> None:
    comparison = read(evaluated)
    assert (comparison.first, comparison.order) == ("odd", "Copy-paste score of odd")
    assert comparison.rows == ("identity", "odd", "$a.b", "source") and comparison.notes == ()
    values = [case.scores["odd"]["copy_paste"] for case in comparison.cases]
    measured = [value for value in values if value is not None]
    assert len(measured) == 2 and measured == sorted(measured, reverse=True) and values[2:] == [None] * 3
    assert [case.name for case in comparison.cases[2:]] == ["c01", "c02", "c03"]
    assert {case.scores["odd"]["failed"] for case in comparison.cases} > {"", "RuntimeError: no idea"}


def test_only_metrics_that_tell_cases_apart_sort_them(evaluated: Path) -> None:
    comparison = read(evaluated)
    assert [metric.key for metric in sorted_by(comparison)] == ["copy_paste", "exemplar_colour"]
    assert {"seam", "outside_exact"} < {metric.key for metric in comparison.metrics}
    assert not {"frechet", "clip_score_fixed"} & {metric.key for metric in comparison.metrics}


def test_each_metric_has_a_field_of_its_own_and_each_picture_a_slice(evaluated: Path) -> None:
    named = fields_of([Metric(key, key, "higher") for key in ("similarity:DINO S/16", "similarity:DINO S-16", "seam")])
    assert list(named.values()) == ["similarity_dino_s_16", "similarity_dino_s_16_2", "seam"]
    media = ComparedMedia("set", read(evaluated))
    shown = ["source", "exemplar", "ground truth", "identity", "odd", "·a·b", "source (2)"]
    assert list(media.slices) == shown and media.slices["source (2)"] == "source"
    assert slice_names(["a.b", "a·b", "_cls", ""]) == ["a·b", "a·b (2)", "·cls", "·"]


def test_every_picture_comes_in_the_size_that_was_promised(evaluated: Path) -> None:
    comparison = read(evaluated)
    media = ComparedMedia("set", comparison)
    for rank in range(len(comparison.cases)):
        sizes, has_mask = media.sizes(rank)
        assert has_mask and sizes[0] == SIZE[::-1]
        for place, size in enumerate([*sizes, SIZE[::-1]]):
            made = media.picture(media.name(rank, place))
            assert made and Image.open(io.BytesIO(made[0])).size == size, (rank, place)
    for odd in (
        "/set/compared/000000/0099.png",
        "/set/compared/000099/0000.png",
        "/set/compared/0/0.png",
        "/etc/passwd",
    ):
        assert media.picture(odd) is None


def test_inputs_that_changed_are_not_opened(run: Path, tmp_path: Path) -> None:
    other = shutil.copy(run.parent / "run" / "report.html", tmp_path / "secret.png")
    Image.new("RGB", (5, 5)).save(tmp_path / "other.png")
    change(run / BENCH, 0, source=str(tmp_path / "other.png"), exemplar=str(other), mask="/nowhere/mask.png")
    comparison = read(run)
    rank = next(rank for rank, case in enumerate(comparison.cases) if case.name == "c00")
    media = ComparedMedia("set", comparison)
    sizes, has_mask = media.sizes(rank)
    assert not has_mask and sizes[0] == sizes[1] == (512, 512) and sizes[2] == SIZE[::-1]
    for place in (0, 1, media.mask_place):
        made = media.picture(media.name(rank, place))
        assert made and Image.open(io.BytesIO(made[0])).size == (512, 512)


def test_a_hostile_record_leads_to_no_other_file(run: Path) -> None:
    Image.new("RGB", (5, 5)).save(run.parent / "outside.png")
    change(run / BENCH, 0, case="../../outside")
    change(run / SCORES_TABLE, 0, case="../../outside", picture="../outside.png")
    comparison = read(run)
    rank = next(rank for rank, case in enumerate(comparison.cases) if case.name == "../../outside")
    media = ComparedMedia("set", comparison)
    for place in range(3, media.mask_place):
        made = media.picture(media.name(rank, place))
        assert made and Image.open(io.BytesIO(made[0])).size == (512, 512)
    assert any("lack scores of some rows (../../outside)" in note for note in comparison.notes)
    assert any("belong to no case or row" in note for note in comparison.notes)


def test_all_cases_are_loaded_or_the_worst_of_them_and_flags_of_samples_are_refused(
    evaluated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, worst = Folder(str(evaluated)), [case.name for case in read(evaluated).cases]
    assert [case.name for case in load_comparison(folder, BrowseConfig((folder.url,))).cases] == worst
    assert [case.name for case in load_comparison(folder, BrowseConfig((folder.url,), limit=2)).cases] == worst[:2]
    assert "the worst 2 of 5 cases; --limit takes more" in capsys.readouterr().out
    for flag, config in (("--where", {"where": ("draw=0",)}), ("--extract", {"extract": "pictures"})):
        with pytest.raises(InputError, match=f"{flag}: is for samples of a dataset; leave it out for an evaluation"):
            load_comparison(folder, BrowseConfig((folder.url,), **config))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [SUMMARY, SCORES_TABLE, BENCH])
def test_an_evaluation_that_has_not_ended_is_refused_with_the_remedy(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(InputError, match=rf"has no {name} yet; run the same pbe.evaluate command again"):
        read(run)


@pytest.mark.parametrize("name", [SUMMARY, SCORES_TABLE, BENCH])
@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"{}"])
def test_a_damaged_file_is_refused_by_name(run: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    (run / name).write_bytes(damage((run / name).read_bytes()))
    with pytest.raises(InputError, match=rf"{name}: is not .* run pbe.evaluate again"):
        read(run)


def test_values_that_cannot_be_are_refused_by_name(run: Path) -> None:
    change(run / SCORES_TABLE, 0, copy_paste=float("nan"))
    with pytest.raises(InputError, match=rf"{SCORES_TABLE}: c00 of identity is not a score"):
        read(run)
    change(run / BENCH, 0, case="c01")
    change(run / SCORES_TABLE, 0, copy_paste=0.5)
    with pytest.raises(InputError, match=rf"{BENCH}: holds c01 twice"):
        read(run)
    summary = json.loads((run / SUMMARY).read_text())
    summary["metrics"][0]["key"] = "filepath"
    (run / SUMMARY).write_text(json.dumps(summary))
    with pytest.raises(InputError, match=rf"{SUMMARY}: {SCORES_TABLE} has no metric 'filepath'"):
        read(run)


def test_an_evaluation_is_known_by_one_name_and_has_its_own_page(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_kind(Folder(str(run))) is Kind.COMPARISON
    assert browse.main([str(run), "--sheet", str(run.parent / "page.html")]) == 2
    assert (
        f"--sheet: {run} has a page of its own: open {run}/report.html, or leave --sheet out" in capsys.readouterr().err
    )
    (run / EVALUATION).unlink()
    for picture in run.glob("*.json"):
        picture.unlink()
    with pytest.raises(InputError, match=f"nothing to look at; .* of an evaluation \\(with {EVALUATION}\\)"):
        find_kind(Folder(str(run)))
