"""Tables of cases by command: what is made, made again, kept and refused."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from pbe.edit import main
from tests.pbe.editing.commands import cases_flags
from tests.pbe.editing.tiny_model import random_picture, write_model, write_pictures

HEADER = "source,mask,exemplar,name"


def _write_cases(tmp_path: Path, rows: list[str], header: str = HEADER) -> Path:
    write_pictures(tmp_path / "in")
    path = tmp_path / "in" / "cases.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_cases_go_on_where_they_stopped(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = "source.png,mask.png,exemplar.png"
    table = _write_cases(tmp_path, [f"{row},a", f"{row},b", "source.png,mask.png,cut.png,c"])
    whole = (tmp_path / "in" / "exemplar.png").read_bytes()
    (tmp_path / "in" / "cut.png").write_bytes(whole[:-900])  # which its header does not show
    out = tmp_path / "out"
    assert main(cases_flags(folder, table, out)) == 1
    printed = capsys.readouterr()
    assert "c: exemplar" in printed.out and "cut.png" in printed.out and "2 made, 1 failed" in printed.out
    kept = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.iterdir()}
    sheet = kept.pop("contact-sheet.jpg")[1]
    assert kept.keys() == {"a.png", "a.json", "b.png", "b.json"}
    (tmp_path / "in" / "cut.png").write_bytes(whole)
    assert main(cases_flags(folder, table, out)) == 0
    assert Image.open(out / "contact-sheet.jpg").height > Image.open(io.BytesIO(sheet)).height
    assert "2 were finished, 1 made, 0 failed" in capsys.readouterr().out
    for name, (time, content) in kept.items():
        assert ((out / name).stat().st_mtime_ns, (out / name).read_bytes()) == (time, content)
    assert json.loads((out / "c.json").read_text())["settings"]["steps"] == 2


@pytest.mark.heavy
def test_what_was_lost_of_a_batch_is_made_again_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    table = _write_cases(tmp_path, [f"source.png,mask.png,exemplar.png,{name}" for name in "abcde"])
    for out, batch in (("whole", "3"), ("cut", "3")):
        assert main(cases_flags(folder, table, tmp_path / out, "--batch", batch)) == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    for name in ("b.json", "b.png", "d.json"):
        (tmp_path / "cut" / name).unlink()
    assert main(cases_flags(folder, table, tmp_path / "cut", "--batch", "3")) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "cut").iterdir()} == whole


@pytest.mark.heavy
def test_cases_with_other_settings_are_refused_unless_overwritten(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = _write_cases(tmp_path, ["source.png,mask.png,exemplar.png,a"])
    out = tmp_path / "out"
    assert main(cases_flags(folder, table, out)) == 0
    before = (out / "a.png").read_bytes()
    capsys.readouterr()
    assert main(cases_flags(folder, table, out, "--guidance", "2")) == 2
    assert "a (guidance [5.0] -> [2.0])" in capsys.readouterr().err
    record = json.loads((out / "a.json").read_text())
    assert record["settings"].pop("prediction") == "epsilon"
    (out / "a.json").write_text(json.dumps(record))  # as versions wrote it that knew nothing else
    same_tensors = write_model(tmp_path / "v", prediction="v")
    assert main(cases_flags(same_tensors, table, out)) == 2
    assert "a (prediction epsilon -> v)" in capsys.readouterr().err
    assert (out / "a.png").read_bytes() == before
    assert main(cases_flags(folder, table, out, "--guidance", "2", "--overwrite")) == 0
    assert (out / "a.png").read_bytes() != before


@pytest.mark.heavy
def test_a_picture_that_was_deleted_or_a_record_that_was_cut_is_made_again(folder: Path, tmp_path: Path) -> None:
    table = _write_cases(tmp_path, [f"source.png,mask.png,exemplar.png,{name}" for name in "abc"])
    out = tmp_path / "out"
    assert main(cases_flags(folder, table, out)) == 0
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "a.png").unlink()
    (out / "b.json").write_bytes(whole["b.json"][:20])
    assert main(cases_flags(folder, table, out)) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_a_changed_input_is_told_and_another_way_to_write_a_path_is_none(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = _write_cases(tmp_path, ["source.png,mask.png,exemplar.png,a"])
    out = tmp_path / "out"
    assert main(cases_flags(folder, table, out)) == 0
    monkeypatch.chdir(tmp_path)
    assert main(cases_flags(folder, Path("in/cases.csv"), Path("out"))) == 0
    assert "1 were finished, 0 made" in capsys.readouterr().out
    Image.fromarray(random_picture(30, 30, seed=9)).save(tmp_path / "in" / "exemplar.png")
    assert main(cases_flags(folder, table, out)) == 2
    assert "a (exemplar " in capsys.readouterr().err


def test_what_only_evaluation_reads_changes_nothing_of_an_edit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row, out = "source.png,mask.png,exemplar.png,a", tmp_path / "out"
    more = ["none.png", "a dog", "nowhere://mask.png"]
    table = _write_cases(tmp_path, [",".join([row, *more])], f"{HEADER},ground_truth,label,exemplar_mask")
    assert main(cases_flags(folder, table, out)) == 0
    assert not any(value in (out / "a.json").read_text() for value in more)
    _write_cases(tmp_path, [row])
    assert main(cases_flags(folder, table, out)) == 0
    assert "1 were finished, 0 made" in capsys.readouterr().out


def test_an_edit_does_not_replace_what_only_evaluation_reads(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = _write_cases(tmp_path, ["source.png,mask.png,exemplar.png,a,a.png"], f"{HEADER},ground_truth")
    truth = (tmp_path / "in/source.png").rename(tmp_path / "in/a.png").read_bytes()
    (tmp_path / "in/source.png").write_bytes(truth)
    assert main(cases_flags(folder, table, tmp_path / "in")) == 2
    assert "in/a.png would replace an input" in capsys.readouterr().err
    assert (tmp_path / "in/a.png").read_bytes() == truth


def test_tables_from_spreadsheets_are_understood(folder: Path, tmp_path: Path) -> None:
    table = _write_cases(tmp_path, [])
    table.write_bytes("\ufeffSource, Mask ,exemplar,name,\r\n source.png,mask.png ,exemplar.png,a,\r\n\r\n".encode())
    assert main(cases_flags(folder, table, tmp_path / "out")) == 0
    assert (tmp_path / "out" / "a.png").exists()


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("source,mask", ["a,b"], "lacks exemplar"),
        ("source,mask,exemplar,gudance", ["a,b,c,5"], "has unknown gudance"),
        ("source,exemplar", ["a,c"], "needs mask or box"),
        ("source,mask,exemplar", [], "no rows"),
        ("source,mask,exemplar", ["a,b"], "line 2: has another number of fields"),
        ("source,mask,exemplar", ["a,,c"], "line 2: mask, box: give one"),
        ("source,mask,exemplar", ["a.png,b,c", "a.png,d,c"], "cases a-c and a-c would both write a-c.png"),
        ("source,mask,exemplar,name", ["a,b,c,../x"], "line 2: name '../x'"),
        ("source,mask,exemplar,guidance", ["a,b,c,five"], "line 2: --guidance five"),
        ("source,mask,exemplar,seed", ["a,b,c,1.5"], "line 2: seed 1.5: give a whole number"),
        ("source,mask,exemplar,source", ["a,b,c,a"], "names a column twice"),
        ("source,mask,exemplar,name", ["a,b,c,x", "a,b,c,X"], "cases x and X would both write X.png"),
        (
            "source,mask,exemplar,name,guidance",
            ['a,b,c,x,"1,5"', "a,b,c,x-g5-s0,5"],
            "cases x and x-g5-s0 would both write x-g5-s0.png",
        ),
    ],
)
def test_wrong_tables_of_cases_are_refused_by_place_and_value(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, rows: list[str], expected: str
) -> None:
    table = _write_cases(tmp_path, rows, header)
    assert main(cases_flags(folder, table, tmp_path / "out")) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
