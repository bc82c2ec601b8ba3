"""A finished evaluation that is run again: left as it is, until something that its summary follows from changes."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbe.evaluate import main
from pbe.evaluation.running.finished import PLACE
from schemas.scores import REPORT, SCORES_TABLE, SUMMARY, TABLE_MD
from tests.pbe.evaluation.running.small_bench import write_bench, write_stranger

OPENED = "opening the encoders of features"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation with features, real pictures and a Fréchet distance, put aside from where it was made."""
    place = tmp_path_factory.mktemp("finished") / "place"
    write_bench(place / "bench")
    write_stranger(place)
    (place / "real").mkdir()
    for picture in (place / "bench").glob("*-source.png"):
        shutil.copy(picture, place / "real" / picture.name)
    with pytest.MonkeyPatch.context() as patch:
        enter(place, patch)
        assert evaluate() == 0
    sys.modules.pop("stranger", None)
    return place.rename(place.with_name("made"))


@pytest.fixture
def place(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The evaluation where it was made, times and all."""
    place = Path(shutil.copytree(made, made.with_name("place")))
    enter(place, monkeypatch)
    yield place
    sys.modules.pop("stranger", None)
    shutil.rmtree(place)


def enter(place: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(place)
    patch.syspath_prepend(str(place))


def evaluate(*more: str) -> int:
    flags = ("--bench", "bench/cases.csv", "--out", "run", "--batch", "3", "--features", "clip=untrained")
    return main(["stranger:Grey", "identity", "stranger:Absent", *flags, "--real", "real", *more])


def times(place: Path) -> dict[str, int]:
    return {name: (place / "run" / name).stat().st_mtime_ns for name in (SUMMARY, SCORES_TABLE, REPORT, TABLE_MD)}


def test_a_finished_evaluation_opens_no_encoder_and_leaves_its_files(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = times(place)
    for flags in ((), ("--retry-failed",), ("--overwrite",), ("--cpus", "2")):
        assert evaluate(*flags) == 0
        said = capsys.readouterr().out
        assert OPENED not in said and times(place) == before
        assert "4 parts: 4 were finished, 0 made" in said and "report: run/report.html" in said


CHANGES: dict[str, Callable[[Path], object]] = {
    "a real picture more": lambda place: shutil.copy(place / "real/c00-source.png", place / "real/more.png"),
    "a real picture less": lambda place: (place / "real/c00-source.png").unlink(),
    "another real picture": lambda place: shutil.copy(place / "bench/c00-exemplar.png", place / "real/c00-source.png"),
    "scores that were lost": lambda place: (place / "run/parts/grey/00000.parquet").unlink(),
    "scores that were cut": lambda place: os.truncate(place / "run/parts/grey/00000.parquet", 100),
    "a picture that was lost": lambda place: (place / "run/pictures/grey/c00.png").unlink(),
    "no report": lambda place: (place / "run" / REPORT).unlink(),
    "a changed table": lambda place: (place / "run" / TABLE_MD).write_text("| mine |"),
    "a torn stamp": lambda place: os.truncate(place / "run" / PLACE, 20),
    "no stamp": lambda place: (place / "run" / PLACE).unlink(),
    "a method that says something else": lambda place: (place / "stranger.py").write_text(
        (place / "stranger.py").read_text().replace("the moon", "Mars")
    ),
}


@pytest.mark.heavy
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_summary_follows_from_makes_it_again(
    place: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = times(place)
    CHANGES[change](place)
    assert evaluate() == 0
    assert OPENED in capsys.readouterr().out and times(place)[REPORT] > before[REPORT]
    after = times(place)
    assert evaluate() == 0
    assert times(place) == after


def test_a_real_picture_that_cannot_be_read_is_looked_at_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "real/odd.png").write_bytes(b"no picture")
    for _ in range(2):
        assert evaluate() == 0
        assert OPENED in capsys.readouterr().out
    assert "odd.png" in (place / "run" / REPORT).read_text()


def test_other_flags_are_summed_up_anew(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (place / "run" / SUMMARY).read_bytes()
    assert evaluate("--features", "clip=untrained", "dino=untrained") == 0
    assert OPENED in capsys.readouterr().out and (place / "run" / SUMMARY).read_bytes() != before
    assert evaluate() == 0
    assert (place / "run" / SUMMARY).read_bytes() == before
