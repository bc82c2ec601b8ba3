"""A training's folder as its own writers leave it: what is read, while it trains and after, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboards.kinds import Kind, find_kind
from dashboards.training_run import read_scores, read_training
from pbe.training.config import TrainConfig
from pbe.training.observations import COLUMNS, Observations
from pbe.training.run_folder import CHECKPOINTS, write_record
from pbe.training.telemetry import Telemetry
from pbe.training.validation import Validation
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from schemas.grid_scores import COPY_PASTE, SIMILARITY, SOURCE, GridScore, GridScores, guidance_name

KEYS = ["photo-0-0", "photo-1-0"]


def observed(*losses: float) -> Observations:
    values = {name: [1.0] * len(losses) for name in COLUMNS}
    values |= {"ordinal": list(range(len(losses))), "loss": list(losses), "hole": [0.5] * len(losses)}
    return Observations(np.array([values[name] for name in COLUMNS]).T)


def scored(step: int, *, tower: str | None = "untrained") -> GridScores:
    """Scores that fall with the guidance and grow with the step; one sample of two has none."""
    columns = {SOURCE: 0.8, **{guidance_name(scale): 0.1 * step - 0.05 * scale for scale in (1, 3)}}
    scores = {name: GridScore(value, (value, None), ("", "flat")) for name, value in columns.items()}
    none = dict.fromkeys(columns, GridScore(None, (None, None), ("no tower", "no tower")))
    both = {COPY_PASTE: scores, SIMILARITY: scores if tower else none}
    return GridScores(step, "validation", "moving average", tower, ("photo-0-0", "photo-1-0"), both)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What a training of 4 steps writes, the third of which was not finite."""
    out = tmp_path / "train"
    out.mkdir()
    write_record(out, TrainConfig(out=str(out), steps=4, ema=0.9), world=2, dataset="0" * 64, draws=1)
    log = Telemetry(out, done=0, steps=4, batch=2)
    for step in range(1, 5):
        log.write({"step": step, "loss": float("nan") if step == 3 else 1 / step})
        if step % 2 == 0:
            log.write_grid(np.zeros((4, 4, 3), np.uint8), scored(step))
            log.write_validation(step, Validation(observed(0.5, 2.0), observed(0.25, 1.0)).table(KEYS))
            (out / CHECKPOINTS / f"step-{step:08d}").mkdir(parents=True)
    log.close()
    (out / CHECKPOINTS / "latest").write_text("step-00000004")
    return out


def test_a_training_is_read_as_it_was_written(out: Path) -> None:
    run = read_training(str(out))
    assert find_kind(Folder(str(out))) is Kind.TRAINING
    assert (run.name, run.config["steps"], run.record["world"]) == ("train", 4, 2)
    assert [(row["step"], row["loss"]) for row in run.rows] == [(1, 1.0), (2, 0.5), (3, None), (4, 0.25)]
    assert list(run.grids) == list(run.tables) == [2, 4] and run.grids[4].name == "step-00000004.png"
    assert run.checkpoint == 4
    assert list(run.scores) == [2, 4] and read_scores(run) == ([scored(2), scored(4)], [])
    losses = run.losses(4)
    assert losses.select(["key", "loss", "loss_ema"]).to_pylist() == [
        {"key": "photo-0-0", "loss": 0.5, "loss_ema": 0.25},
        {"key": "photo-1-0", "loss": 2.0, "loss_ema": 1.0},
    ]


def test_a_training_under_way_is_read_as_far_as_it_is(out: Path) -> None:
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    (out / "grids" / ".step-00000006.png.pbe-writing").write_bytes(b"")
    (out / "grids" / ".step-00000006.json.pbe-writing").write_bytes(b"")
    (out / "validation" / ".step-00000006.parquet.pbe-writing").write_bytes(b"")
    (out / CHECKPOINTS / "partial-step-00000006").mkdir()
    run = read_training(str(out))
    assert [row["step"] for row in run.rows] == [1, 2, 3, 4] and run.checkpoint == 4
    assert list(run.grids) == list(run.scores) == list(run.tables) == [2, 4]


def test_what_is_no_training_or_has_nothing_yet_is_refused_with_a_next_step(out: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun").mkdir()
    write_record(tmp_path / "begun", TrainConfig(), world=1, dataset="0", draws=1)
    for name, why in (
        ("nowhere", "nowhere: no such folder; give the --out"),
        ("empty", "empty: no run.json, so no training's folder; give"),
        ("begun", "begun: has not ended its first step yet; look again later"),
    ):
        with pytest.raises(InputError, match=why):
            read_training(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("run.json", b'{"config": ', "run.json: is damaged"),
        ("run.json", b"[]", "run.json: is not the record of a training"),
        ("metrics.jsonl", b'{"step": 1}\n\xff\n', "metrics.jsonl: is damaged"),
        ("metrics.jsonl", b'{"step": 1}\n[]\n', "metrics.jsonl line 2: has no step"),
        ("metrics.jsonl", json.dumps({"step": "1"}).encode(), "metrics.jsonl line 1: has no step"),
    ],
)
def test_a_damaged_file_is_named(out: Path, name: str, content: bytes, why: str) -> None:
    (out / name).write_bytes(content)
    with pytest.raises(InputError, match=why):
        read_training(str(out))


@pytest.mark.parametrize("content", [b'{"step": 2, "sco', b"\xff", b"[]", b'{"scores": 7}', b"{}", b"[" * 100_000])
def test_scores_that_cannot_be_read_are_named_and_the_others_remain(out: Path, content: bytes) -> None:
    (out / "grids/step-00000002.json").write_bytes(content)
    records, [fault] = read_scores(read_training(str(out)))
    assert records == [scored(4)] and "grids/step-00000002.json: cannot be read" in fault


def test_a_damaged_or_foreign_table_is_named_and_the_others_can_be_read(out: Path) -> None:
    run = read_training(str(out))
    content = run.tables[2].read_bytes()
    run.tables[2].write_bytes(content[:-20])
    with pytest.raises(InputError, match=r"step-00000002\.parquet: cannot be read"):
        run.losses(2)
    assert len(run.losses(4)) == 2
    pq.write_table(pa.table({"key": KEYS}), run.tables[2])
    with pytest.raises(InputError, match=r"step-00000002\.parquet: has other columns \(key\)"):
        run.losses(2)
