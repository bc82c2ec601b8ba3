"""The command line of an ablation: its own flags, the evaluation's, and behind -- the trainer's."""

from pathlib import Path

import pytest

from pbe.evaluate import main
from pbe.evaluation.ablation.checks import trainer_arguments
from pbe.evaluation.ablation.config import parse_ablation, parse_row
from pbe.evaluation.ablation.rows import NAMES, plan_rows
from pipeline.errors import InputError
from tests.pbe.refusals import assert_refused_at_once, refuse_all
from tests.synthetic import write_synthetic

NEEDED = ["--data", "d", "--out", "r"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flags_reach_the_evaluation_and_the_trainer_and_methods_stand_beside_the_rows(here: Path) -> None:
    line = "24gb copy-paste identity --steps 7 --limit 4 --guidance 1,5 --features clip=c dino=d --sampling-steps 9"
    ablation = parse_ablation([*line.split(), *NEEDED, "--", "--batch-size", "32", "--seed", "3"])
    evaluation = ablation.evaluation
    assert evaluation.methods == (*NAMES, "copy-paste", "identity")
    assert (evaluation.limit, evaluation.scales, evaluation.steps) == (4, (1.0, 5.0), 9)
    assert evaluation.features == ("clip=c", "dino=d")
    assert (evaluation.bench_from, evaluation.bench) == (str(here / "d"), "")
    assert evaluation.out == str(here / "r/evaluation")
    configs = [parse_row(trainer_arguments(ablation, row)) for row in plan_rows("")]
    assert {(c.steps, c.batch_size, c.seed, c.model, c.data) for c in configs} == {(7, 32, 3, "sd-v1", str(here / "d"))}
    assert len({c.out for c in configs}) == 5 and all(Path(c.out).parent == here / "r/train" for c in configs)


@pytest.mark.parametrize("flags", [["--bench", "b.csv"], ["--bench=b.csv"], ["--bench-from", "other"]])
def test_a_bench_that_is_named_takes_the_place_of_the_datasets_validation_split(flags: list[str], here: Path) -> None:
    evaluation = parse_ablation([*NEEDED, *flags]).evaluation
    assert str(here / "d") not in (evaluation.bench, evaluation.bench_from)


def test_the_small_preset_without_a_start_and_its_steps_are_taken_where_none_is_named() -> None:
    ablation = parse_ablation(NEEDED)
    assert (ablation.preset, ablation.steps) == ("smoke", 60)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["huge"], "preset 'huge'"),
        (["--steps", "-1"], "--steps -1"),
        (["--out", "s3://bucket/run"], "--out s3://bucket/run"),
        (["--out", "d/run"], "--out d/run: lies in the dataset"),
        (["--guidance", "0"], "--guidance 0"),
        (["--limit", "-3"], "--limit -3"),
        (["--", "--steps", "3"], "--steps: of each row is decided"),
        (["--", "--no-prior"], "--prior: of each row is decided"),
        (["--", "--init-from", "x"], "--init-from: of each row is decided"),
        (["--", "--out", "x"], "--out: of each row is decided"),
        (["--", "--naive"], "of each row is decided"),
        (["--", "--vae", "none"], "--vae none"),
        (["--", "--batch-size", "3"], "--lanes 2"),
    ],
)
def test_a_mistake_is_refused_by_name(arguments: list[str], said: str) -> None:
    line = [*arguments[:1], *NEEDED, *arguments[1:]] if arguments[0] == "huge" else [*NEEDED, *arguments]
    with pytest.raises(InputError) as refused:
        parse_ablation(line)
    assert said in str(refused.value)


def test_a_flag_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["ablation", *NEEDED, "--guidnce", "5"])
    assert stopped.value.code == 2 and "guidnce" in "".join(capsys.readouterr())


@pytest.mark.processes
def test_what_is_not_there_is_refused_before_torch_is_imported_and_a_folder_is_made(here: Path) -> None:
    write_synthetic(here / "d", [[4]], side=8, dimension=16)
    refused = {
        "no dataset": (["--data", "nowhere"], ["row naive", "nowhere"]),
        "no prior": (["--prior", "nowhere/sd"], ["--prior nowhere/sd"]),
        "no sources": (["--", "--vae", "untrained"], ["row naive", "--keep-source"]),
        "no bench": (["--bench", "nowhere.csv"], ["nowhere.csv"]),
        "odd micro-batches": (["--", "--batch-size", "8", "--micro-batch", "3"], ["row naive", "after a lone --"]),
        "no such flag of the trainer": (["--", "--batch-size", "0"], ["--batch-size 0"]),
        "no such method": (["--features", "nothing"], ["encoder 'nothing'"]),
    }
    lines = {name: ["ablation", "smoke", *NEEDED, *more] for name, (more, _) in refused.items()}
    ends = refuse_all("pbe.evaluate", lines, folder=here)
    for name, (_, said) in refused.items():
        assert_refused_at_once(ends[name], said)
    assert [path.name for path in here.iterdir()] == ["d"]
