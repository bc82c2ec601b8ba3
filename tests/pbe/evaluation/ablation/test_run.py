"""The ablation end to end: rows are trained, those that are finished are left alone, and all stand in one table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pbe.evaluate import main
from pbe.evaluation.ablation.config import parse_ablation
from pbe.evaluation.ablation.rows import NAMES
from pbe.evaluation.ablation.run import ablate
from pbe.evaluation.methods.by_example import UNGUIDED, VARIANTS
from pbe.evaluation.summary import Row, read_summary
from pipeline.errors import InputError
from schemas.scores import REPORT, SUMMARY
from tests.pbe.evaluation.ablation.tiny_prior import write_prior
from tests.pbe.training.rank_group import RankGroup

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("trainings")]  # one worker, which imports DeepSpeed once

CUT = ["--exemplar", "own", "--split", "train", "--limit", "2"]
FAILING = ("augmentation-no-prior", "bottleneck-no-prior")
FEW = ["--steps", "1", "--sampling-steps", "2", *CUT]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Any]) -> Path:
    place = tmp_path_factory.mktemp("ablation")
    make(place / "data", keep_source=True)
    return place


class Trainer:
    """Runs the trainer in forks of a process that has imported it, and remembers the rows; some rows it fails."""

    def __init__(self, *failing: str) -> None:
        self.failing, self.rows = failing, list[str]()

    def __call__(self, arguments: Sequence[str], log: Path) -> int:
        self.rows.append(log.stem)
        if log.stem in self.failing:
            return 1
        with RankGroup(log, "pbe.train.main", [list(arguments)], world=1) as group:
            [code] = group.wait()
        assert code == 0, log.read_text()
        return 0


def arguments(place: Path, *more: str, out: str = "run", methods: Sequence[str] = ()) -> list[str]:
    return ["smoke", *methods, "--data", str(place / "data"), "--out", str(place / out), *FEW, *more]


def rows_of(out: Path) -> dict[str, Row]:
    return {row.name: row for row in read_summary((out / "evaluation" / SUMMARY).read_bytes(), "here").rows}


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    """The folder of an ablation without a prior, of which two rows failed."""
    trainer = Trainer(*FAILING)
    assert ablate(parse_ablation(arguments(place)), train=trainer) == 1
    assert trainer.rows == ["naive", *FAILING, "guidance-no-prior"]
    return place / "run"


def test_each_row_says_in_the_table_how_it_was_trained_or_why_not(trained: Path) -> None:
    rows = rows_of(trained)
    assert {name for name, row in rows.items() if not row.unavailable} == {
        *("naive (crop)", "naive (hole)", "+guidance, no prior (crop) g=5", "+guidance, no prior (hole) g=5")
    }
    assert "augmentation-no-prior.log" in rows["+augmentation, no prior"].unavailable
    assert "give --prior" in rows["+prior"].unavailable
    naive, last = rows["naive (hole)"], rows["+guidance, no prior (hole) g=5"]
    assert (naive.guidance, last.guidance) == (None, 5.0) and UNGUIDED in naive.notes and UNGUIDED not in last.notes
    assert "all of the exemplar's tokens as context" in naive.notes
    assert all("hardly trained: raw weights of step 1" in row.notes and not row.failed for row in (naive, last))
    page = (trained / "evaluation" / REPORT).read_text()
    assert "ablation: + classifier-free guidance" in page and "reported by the paper" in page


def test_rows_are_trained_once_and_those_that_failed_are_tried_again(
    place: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, again = rows_of(trained), Trainer(*FAILING)
    assert ablate(parse_ablation(arguments(place)), train=again) == 1
    said = capsys.readouterr().out
    assert again.rows == list(FAILING) and rows_of(trained) == before
    assert "row 1 of 5, naive: is trained" in said
    assert "row 2 of 5, +prior: unavailable: needs Stable Diffusion's weights: give --prior" in said
    assert "-m pbe.train smoke --data" in said and "--steps 1 --no-prior --no-bottleneck --no-guidance-drop" in said
    assert "row 3 of 5, +augmentation, no prior: its training failed (exit code 1); see" in said


def test_a_training_that_ends_before_its_last_step_stops_the_ablation(place: Path, trained: Path) -> None:
    for code in (0, 130, -15):
        with pytest.raises(KeyboardInterrupt):
            ablate(parse_ablation(arguments(place)), train=lambda line, log, code=code: code)  # type: ignore[misc]


def test_what_would_be_refused_after_the_trainings_is_refused_before(place: Path, trained: Path) -> None:
    def refused(*more: str) -> str:
        with pytest.raises(InputError) as error:
            ablate(parse_ablation(arguments(place, *more)), train=pytest.fail)  # type: ignore[arg-type]
        return str(error.value)

    assert "evaluates models of step 1" in refused("--steps", "2")
    assert "lr 0.0001 -> 0.5" in refused("--", "--lr", "0.5")
    assert "encoder 'nothing=x'" in refused("--features", "nothing=x")
    assert "holds another bench" in refused("--seed", "3")


@pytest.mark.slow
def test_all_five_rows_of_a_prior_are_trained_by_processes_of_their_own(place: Path) -> None:
    prior = write_prior(place / "sd")
    line = arguments(place, "--prior", str(prior), out="five", methods=["copy-paste"])
    assert main(["ablation", *line]) == 0
    rows = rows_of(place / "five")
    assert not any(row.unavailable or row.failed for row in rows.values())
    shown = {NAMES[-1]: " g=5"}
    expected = [f"{name} ({variant}){shown.get(name, '')}" for name in NAMES for variant in VARIANTS]
    assert list(rows) == [*expected, "copy-paste"]
    assert main(["ablation", *line]) == 0 and rows_of(place / "five") == rows
