"""An evaluation from its command line: what it writes, goes on with, and refuses."""

import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pbe.evaluate import main
from pbe.evaluation.summary import Summary, read_summary
from schemas.scores import BENCH, SCORES, SCORES_TABLE, SUMMARY, picture_path
from tests.pbe.evaluation.running.small_bench import write_bench, write_stranger


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a bench and a stranger's module, from which commands run."""
    write_bench(tmp_path / "bench")
    write_stranger(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("stranger", None)


def evaluate(*arguments: str, out: str = "run", bench: str = "bench/cases.csv") -> int:
    return main([*arguments, "--bench", bench, "--out", out, "--batch", "2"])


def scores_of(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    table = pq.read_table(io.BytesIO((out / SCORES_TABLE).read_bytes()))
    assert table.schema.equals(SCORES)
    return {(score["row"], score["case"]): score for score in table.to_pylist()}


def summary_of(out: Path) -> Summary:
    return read_summary((out / SUMMARY).read_bytes(), "here")


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def kept(out: Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(out).items() if not name.startswith("run/")}


def test_a_strangers_method_takes_part_beside_the_controls(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("stranger:Grey", "identity", "copy-paste", "stranger:Absent", "pbe") == 0
    said = capsys.readouterr().out
    assert "unavailable: absent: its weights are on the moon" in said and "unavailable: pbe: no weights" in said
    scores, summary = scores_of(place / "run"), summary_of(place / "run")
    assert len(scores) == 3 * 5 and not any(score["failed"] for score in scores.values())
    rows = {row.name: row for row in summary.rows}
    assert rows["absent"].unavailable == "its weights are on the moon" and not rows["absent"].means
    assert rows["identity"].means["outside_exact"].value == rows["grey"].means["outside_exact"].value == 1
    assert (
        rows["copy-paste"].means["copy_paste"].value
        > rows["grey"].means.get("copy_paste", rows["identity"].means["copy_paste"]).value
    )
    assert rows["copy-paste"].means["exemplar_colour"].value < 3 < rows["identity"].means["exemplar_colour"].value
    assert all((place / "run" / score["picture"]).exists() for score in scores.values())
    for name in ("report.html", "table.md", "table.tex", BENCH):
        assert (place / "run" / name).stat().st_size > 100
    assert "report: run/report.html" in said
    assert "Denoising: 50 steps, of our own models by pndm; the paper's: 50 by pndm." in summary.notes


def test_a_case_that_fails_is_named_with_its_reason_and_the_others_go_on(place: Path) -> None:
    assert evaluate("stranger:Odd") == 0
    scores = {case: score for (_, case), score in scores_of(place / "run").items()}
    assert {case for case, score in scores.items() if score["failed"]} == {"c01", "c02", "c03"}
    assert scores["c01"]["failed"] == "RuntimeError: no idea"
    assert "not finite" in scores["c02"]["failed"] and "96 x 71" in scores["c03"]["failed"]
    assert "Traceback" in (place / "run/run/methods.log").read_text()
    [row] = summary_of(place / "run").rows
    assert (row.cases, row.failed) == (5, 3)


def test_a_method_that_ends_the_process_is_a_failed_method_and_the_next_one_goes_on(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "leaving.py").write_text(
        "import sys\nfrom stranger import Grey\n\n\nclass Leaving(Grey):\n    name = 'leaving'\n\n"
        "    def begin(self, bench):\n        sys.exit('no licence')\n\n    end = begin\n"
    )
    assert evaluate("leaving:Leaving", "identity") == 0
    sys.modules.pop("leaving")
    assert "failed: leaving: case c00 and 4 more: its begin() raises SystemExit: no licence" in capsys.readouterr().out
    assert {row.name: row.failed for row in summary_of(place / "run").rows} == {"leaving": 5, "identity": 0}


def test_a_picture_that_is_taken_away_while_others_are_made_is_told(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "vandal.py").write_text(
        "import os\nfrom stranger import Grey\n\n\nclass Vandal(Grey):\n    def edit(self, cases):\n"
        "        if cases[0].name == 'c04':\n            os.remove('run/pictures/grey/c00.png')\n"
        "        return super().edit(cases)\n"
    )
    assert evaluate("vandal:Vandal") == 2
    sys.modules.pop("vandal")
    assert "1 parts were made, and are not there: grey/00000; see what else writes there" in capsys.readouterr().err


def test_another_guidance_scale_later_makes_nothing_again(place: Path) -> None:
    (place / "guided.py").write_text(
        "from stranger import CALLS, Grey\n\n\nclass Guided(Grey):\n    takes_guidance = True\n    name = 'guided'\n"
    )
    assert evaluate("guided:Guided") == 0
    first = kept(place / "run/pictures")
    calls = sys.modules["stranger"].CALLS
    assert len(calls) == 3
    assert evaluate("guided:Guided", "--guidance", "1,5") == 0
    sys.modules.pop("guided")
    assert len(calls) == 6 and first.items() <= kept(place / "run/pictures").items()
    assert [row.name for row in summary_of(place / "run").rows] == ["guided g=1", "guided g=5"]


def test_an_evaluation_of_which_every_case_failed_is_no_success(place: Path) -> None:
    write_bench(place / "two", cases=2)
    (place / "worse.py").write_text(
        "from stranger import Grey\n\n\nclass No(Grey):\n    def edit(self, cases):\n        return 1 / 0\n"
    )
    assert evaluate("worse:No", bench="two/cases.csv") == 1
    sys.modules.pop("worse")


def test_finished_parts_are_not_made_again_and_what_is_lost_is_with_the_same_bytes(place: Path) -> None:
    assert evaluate("stranger:Grey", "identity") == 0
    whole = kept(place / "run")
    calls = sys.modules["stranger"].CALLS
    assert calls == [["c00", "c01"], ["c02", "c03"], ["c04"]]
    assert evaluate("stranger:Grey", "identity") == 0
    assert kept(place / "run") == whole and len(calls) == 3
    (place / "run" / picture_path("grey", "c02")).unlink()
    (place / "run/parts/grey/00002.json").write_bytes(b"{")
    (place / "run/parts/identity/00000.parquet").unlink()
    (place / "run" / SUMMARY).unlink()
    assert evaluate("stranger:Grey", "identity") == 0
    assert kept(place / "run") == whole and calls[3:] == [["c02", "c03"], ["c04"]]


def test_more_methods_and_another_order_of_files_change_no_score(place: Path) -> None:
    assert evaluate("stranger:Grey") == 0
    assert evaluate("identity", "stranger:Grey") == 0
    shutil.copytree(place / "bench", place / "elsewhere")
    table = (place / "elsewhere/cases.csv").read_text().splitlines()
    (place / "elsewhere/cases.csv").write_text("\n".join([table[0], *reversed(table[1:])]) + "\n")
    assert evaluate("stranger:Grey", "identity", out="other", bench="elsewhere/cases.csv") == 0
    assert scores_of(place / "run") == scores_of(place / "other")


def test_an_output_of_another_bench_or_of_other_settings_is_refused_by_name(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("stranger:Grey") == 0
    whole = contents(place / "run")
    write_bench(place / "small", cases=3)
    assert evaluate("stranger:Grey", bench="small/cases.csv") == 2
    assert "another bench (cases, 5 cases)" in capsys.readouterr().err
    changed = (place / "stranger.py").read_text().replace("128}", "129 }")  # Python knows bytecode by second and size
    (place / "stranger.py").write_text(changed)
    sys.modules.pop("stranger")
    assert evaluate("stranger:Grey") == 2
    assert "method.level 128 -> 129" in capsys.readouterr().err
    assert {name: content for name, content in contents(place / "run").items() if not name.startswith("run/")} == {
        name: content for name, content in whole.items() if not name.startswith("run/")
    }
    assert evaluate("stranger:Grey", "--overwrite") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "no method is called nothing"),
        (["identity", "--limit", "-1"], "--limit -1"),
        (["identity", "--guidance", "0"], "--guidance 0"),
        (["identity", "--features", "clip=nowhere/at/all"], "nowhere/at/all"),
        (["identity", "--real", "photos"], "--features"),
        (
            ["identity", "--features", "clip=untrained", "--real", "bench/cases.csv"],
            "--real bench/cases.csv: is no folder",
        ),
        (["identity", "--overlap", "bench"], "bench/overlap.json: missing"),
        (["identity", "--features", "clip=untrained", "clip=untrained"], "both are called untrained CLIP"),
        (["identity", "--split", "test"], "--split: belongs to --bench-from"),
        (["identity", f"stranger:Grey@{'x' * 300}"], "too many for the name of a folder"),
        (["identity", "identity"], "identity, identity: would have one name"),
    ],
)
def test_a_mistake_is_refused_by_name_and_leaves_no_folder(
    place: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(*arguments) == 2
    assert said in capsys.readouterr().err
    assert not (place / "run").exists()


def test_everything_that_is_wrong_with_a_bench_is_said_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bench/c00-exemplar.png").unlink()
    (place / "bench/c01-mask.png").write_bytes((place / "bench/c01-source.png").read_bytes())
    (place / "bench/c02-source.png").write_bytes(b"no picture")
    assert evaluate("identity") == 2
    said = capsys.readouterr().err
    assert all(name in said for name in ("c00-exemplar.png", "c01-mask.png", "c02-source.png"))
    assert not (place / "run").exists()


def test_a_method_that_needs_what_no_case_of_the_bench_has_is_unavailable(place: Path) -> None:
    lines = [line.split(",") for line in (place / "bench/cases.csv").read_text().splitlines()]
    (place / "bench/bare.csv").write_text("\n".join(",".join(line[:4]) for line in lines) + "\n")
    assert evaluate("identity", "ground-truth", bench="bench/bare.csv") == 0
    rows = {row.name: row for row in summary_of(place / "run").rows}
    assert rows["ground-truth"].unavailable == "no case of this bench has a ground truth"
    assert not rows["identity"].unavailable


def test_the_summary_reads_back_as_it_was_written(place: Path) -> None:
    assert evaluate("identity", "copy-paste") == 0
    content = (place / "run" / SUMMARY).read_bytes()
    assert read_summary(content, "here").to_json() == content
    assert json.loads(content)["bench"]["cases"] == 5


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--components", "0"], "--components 0"),
        (["--real", "stranger.py"], "--real stranger.py: is no folder"),
        (["--out", "stranger.py/mixture.npz"], "stranger.py is a file"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused_before_torch_is_imported(
    place: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--real": "bench", "--features": "clip=untrained", "--out": "m.npz", **dict([flags])}
    assert main(["mixture", *(word for flag in given.items() for word in flag)]) == 2
    assert said in capsys.readouterr().err
    assert not list(place.glob("m*"))
