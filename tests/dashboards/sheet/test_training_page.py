"""The page of a training: its losses, its grids, and its worst samples first, as far as each is there."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dashboards.browse import main
from dashboards.rows import choose_rows, open_rows
from dashboards.sheet.training_page import MOST_GRIDS, make_training_sheet, spread
from dashboards.training_run import read_training
from pbe.training.config import TrainConfig
from pbe.training.observations import COLUMNS, Observations
from pbe.training.run_folder import write_record
from pbe.training.telemetry import Telemetry
from pbe.training.validation import Validation
from pipeline.jobs.preparation import PreparedJob
from pipeline.storage.folder import Folder

Make = Callable[..., PreparedJob]
Said = pytest.CaptureFixture[str]


def _observed(losses: list[float]) -> Observations:
    values = {name: [0.5] * len(losses) for name in COLUMNS}
    values |= {"ordinal": list(range(len(losses))), "loss": losses, "timestep": [7.0] * len(losses)}
    return Observations(np.array([values[name] for name in COLUMNS]).T)


def _train(out: Path, data: Path, keys: list[str], losses: list[float], *, steps: int = 12) -> Path:
    """What a training leaves: a grid every step, and losses of some samples at the last."""
    out.mkdir()
    write_record(out, TrainConfig(data=str(data), out=str(out), steps=steps), world=1, dataset="0" * 64)
    log = Telemetry(out, done=0, steps=steps)
    for step in range(1, steps + 1):
        log.write({"step": step, "loss": 1 / step})
        log.write_grid(step, np.full((40, 90, 3), step, np.uint8))
    if keys:
        log.write_validation(steps, Validation(_observed(losses), None).table(keys))
    log.close()
    return out


@pytest.fixture
def data(make: Make, tmp_path: Path) -> Path:
    """A dataset most of whose photos are for validation."""
    make(tmp_path / "data", split_shares=(0.2, 0.8, 0.0), draws=1)
    return tmp_path / "data"


@pytest.fixture
def validated(data: Path) -> list[str]:
    """The keys of its validation samples."""
    table = choose_rows(open_rows(Folder(str(data))), limit=0).table.to_pylist()
    keys = [row["key"] for row in table if row["split"] == "validation"]
    assert len(keys) > 2
    return keys


def test_losses_grids_and_the_worst_samples_stand_on_one_page(
    data: Path, validated: list[str], tmp_path: Path, capsys: Said
) -> None:
    keys = ["gone-0-0", *validated]
    run = _train(tmp_path / "run", data, keys, [9.0, *range(1, len(keys))])
    page = tmp_path / "page.html"
    assert main([str(run), "--sheet", str(page)]) == 0
    said = capsys.readouterr().out
    assert f"12 steps, 12 grids, the worst {len(validated)} validation samples of step 12" in said
    html = page.read_text()
    assert html.count("<polyline") >= 1 and "Step <b>12</b> of 12" in html
    assert re.findall(r"<figcaption>Step (\d+)</figcaption>", html) == ["1", "3", "4", "6", "7", "9", "10", "12"]
    shown = re.findall(r"<header><h2>.*?</h2><code>(.*?)</code>", html)
    assert shown == validated[::-1]
    assert f"<dd>{len(validated):.3f}, hole 0.500, around 0.500, timestep 7</dd>" in html


def test_without_its_dataset_or_any_validation_the_rest_is_shown(
    data: Path, validated: list[str], tmp_path: Path, capsys: Said
) -> None:
    page = tmp_path / "page.html"
    run = _train(tmp_path / "run", data, validated, [1.0] * len(validated))
    shutil.rmtree(data)
    assert main([str(run), "--sheet", str(page)]) == 0
    assert "their dataset cannot be read" in capsys.readouterr().out
    assert b"<article" not in page.read_bytes() and page.read_bytes().count(b"Step ") >= MOST_GRIDS
    early = _train(tmp_path / "early", data, [], [], steps=1)
    assert main([str(early), "--sheet", str(page)]) == 0
    assert b"<form" not in page.read_bytes()


def test_further_trainings_stand_in_the_same_figure(tmp_path: Path) -> None:
    runs = [_train(tmp_path / name, tmp_path, [], [], steps=3) for name in ("first", "<second>")]
    page = tmp_path / "page.html"
    assert main([str(runs[0]), "--sheet", str(page), "--beside", str(runs[1])]) == 0
    [figure] = re.findall(r"<svg .*?</svg>", page.read_text(), re.DOTALL)
    assert "first" in figure and "&lt;second&gt;" in figure and "<second>" not in figure


def test_a_damaged_grid_says_so_and_equal_trainings_give_equal_pages(tmp_path: Path) -> None:
    out = _train(tmp_path / "run", tmp_path, [], [], steps=2)
    run = read_training(str(out))
    sheets = [make_training_sheet(run, None), make_training_sheet(read_training(str(out)), None)]
    assert sheets[0].html == sheets[1].html
    run.grids[2].write_bytes(b"torn")
    html = make_training_sheet(run, None).html.decode()
    assert '<p class="gone">grid ' in html and html.count("data:image/webp") == 1


def test_of_many_grids_the_first_and_the_last_are_among_those_shown() -> None:
    for count in range(1, 40):
        chosen = spread(list(range(count)), MOST_GRIDS)
        assert len(chosen) == len(set(chosen)) == min(count, MOST_GRIDS) and chosen == sorted(chosen)
        assert (chosen[0], chosen[-1]) == (0, count - 1)
