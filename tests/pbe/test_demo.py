"""What a demo of another version left, and what else may lie in its folder."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbe.demo import TRAINING_OUTPUTS, main
from pbe.training.config import PRESETS as TRAININGS
from pbe.training.config import lasting
from pbe.training.run_folder import held_run
from pipeline.config import PRESETS
from pipeline.encoders.facts import ClipFacts, EncoderFacts, VaeFacts
from pipeline.jobs.known_encoders import remember_encoders, stamp_encoders
from pipeline.photos.sample_photos import BOXES_TABLE, FOLDER
from pipeline.shards.recipe import make_recipe
from pipeline.storage.folder import Folder

MINE = ("note.txt", "dataset/note.txt", "train/note.txt", "dataset.html")


def leave_demo(
    place: Path, *, boxes: str = "", data: str = "", lr: float = 0.0, stamp: str = "", **recipe: Any
) -> None:
    """Leave what a demo leaves, as far as is looked at; keyword arguments differ from this version's recipe."""
    dataset = Folder(str(place / "dataset"))
    stamp = stamp or stamp_encoders(PRESETS["tiny"])
    facts = {"vae": {"fingerprint": "v"}, "clip": {"fingerprint": "c"}, "class_names": {"/m/0": "cup"}}
    made = make_recipe(PRESETS["tiny"], device="cpu", filters=["area=0.02:0.8"], **facts)
    dataset.write_json("run/recipe.json", {**made, "inputs": [{"role": "boxes"}], **recipe})
    dataset.write_json("run/config.json", {"boxes": [boxes or dataset.path(f"{FOLDER}/{BOXES_TABLE}")]})
    remember_encoders(dataset, stamp, EncoderFacts(VaeFacts(4, 12, "v"), ClipFacts(256, "c")))
    for name in ("units/000000-d00.json", "shards/train/000000-d00.tar", "card.md"):
        dataset.write(name, b"made")
    training = Folder(str(place / "train"))
    config = replace(TRAININGS["tiny"], data=data or dataset.url.rstrip("/"))
    training.write_json("run.json", {"config": {"data": config.data}})
    state = {"config": lasting(replace(config, lr=lr or config.lr)), "position": {}}
    training.write_json("checkpoints/step-00000030/state.json", state)
    for name in (*TRAINING_OUTPUTS[:4], "runs.jsonl"):
        training.write(f"{name}/file" if "." not in name else name, b"made")
    for name in MINE:
        (place / name).write_text("mine")


def left(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file() and path.name != "lock"}


OTHERS: dict[str, dict[str, Any]] = {
    "rules": {"rules": 1},
    "libraries": {"libraries": {"torch": "1.0"}},
    "schema": {"schema_version": 1},
    "preset": {"resolution": 256},
    "encoders": {"stamp": "of others"},
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_demo_of_another_version_begins_anew_and_what_a_user_put_there_stays(tmp_path: Path, other: str) -> None:
    leave_demo(tmp_path, **OTHERS[other])
    assert main([str(tmp_path)]) == 0
    kept = {"dataset/run/config.json", "dataset/run/encoders.json", "train/runs.jsonl"}
    assert left(tmp_path) == {*MINE, *kept}


def test_a_demo_of_this_version_goes_on_and_one_that_was_never_run_begins(tmp_path: Path) -> None:
    leave_demo(tmp_path)
    before = left(tmp_path)
    assert main([str(tmp_path)]) == main([str(tmp_path / "never")]) == 0
    assert left(tmp_path) == before and not (tmp_path / "never").exists()


def test_only_the_training_begins_anew_where_only_its_preset_is_another_one(tmp_path: Path) -> None:
    leave_demo(tmp_path, lr=1.0)
    dataset = {name for name in left(tmp_path) if name.startswith("dataset")}
    assert main([str(tmp_path)]) == 0
    assert left(tmp_path) == {*dataset, *MINE, "train/runs.jsonl"}


def test_only_the_training_begins_anew_where_the_shipped_model_is_newer(tmp_path: Path) -> None:
    leave_demo(tmp_path)
    dataset = {name for name in left(tmp_path) if name.startswith("dataset")}
    os.utime(tmp_path / "train/run.json", (0, 0))
    assert main([str(tmp_path)]) == 0
    assert left(tmp_path) == {*dataset, *MINE, "train/runs.jsonl"}


def test_the_comparison_is_made_anew_each_time_and_a_users_folder_of_that_name_stays(tmp_path: Path) -> None:
    for name in ("evaluation.json", "report.html", "pictures/trained/0.png", "mine.txt"):
        Folder(str(tmp_path / "report")).write(name, b"{}")
    assert main([str(tmp_path)]) == 0 and left(tmp_path) == {"report/mine.txt"}
    (tmp_path / "report/report.html").write_text("mine, too")
    assert main([str(tmp_path)]) == 0 and left(tmp_path) == {"report/mine.txt", "report/report.html"}


FOREIGN: dict[str, dict[str, Any]] = {
    "dataset: is not what the demo made": {"rules": 1, "boxes": "/data/boxes.csv"},
    "train: is not what the demo made": {"rules": 1, "data": "/data/mine"},
}


@pytest.mark.parametrize("said", FOREIGN)
def test_a_users_dataset_or_training_in_that_place_is_refused_and_stays(
    tmp_path: Path, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_demo(tmp_path, **FOREIGN[said])
    before = left(tmp_path)
    assert main([str(tmp_path)]) == 2
    assert said in capsys.readouterr().err and left(tmp_path) == before


def test_a_link_and_a_training_at_work_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave_demo(tmp_path / "real", rules=1)
    before = left(tmp_path / "real")
    with held_run(tmp_path / "real/train"):
        assert main([str(tmp_path / "real")]) == 2
    assert "another training is at work here" in capsys.readouterr().err
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/dataset").symlink_to(tmp_path / "real/dataset")
    assert main([str(tmp_path / "demo")]) == 2
    assert "dataset: is not what the demo made there" in capsys.readouterr().err
    assert left(tmp_path / "real") == before


def test_the_record_of_a_demo_is_read_whatever_is_in_it(tmp_path: Path) -> None:
    leave_demo(tmp_path, rules=1)
    for content in (b"", b"[]", b"{cut", json.dumps({"boxes": 3}).encode()):
        (tmp_path / "dataset/run/config.json").write_bytes(content)
        assert main([str(tmp_path)]) == 2
