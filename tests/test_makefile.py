"""Makefile: what the demo says to try next, and what `make clean` removes."""

import re
import shlex
from pathlib import Path

import tyro

from dashboards.config import BrowseConfig
from pbe.editing.config import EditConfig
from pbe.evaluate import parse_evaluate_config
from pbe.train import parse_train_config
from pipeline.photos.sample_photos import FOLDER, PHOTOS
from ray_jobs.command import parse_shard_config

TEXT = (Path(__file__).parent.parent / "Makefile").read_text()
PHOTOS_FOLDER = f"runs/demo/dataset/{FOLDER}/train"


def test_the_demo_ends_with_commands_that_can_be_typed_as_they_stand() -> None:
    assert f"DEMO_PHOTOS := {PHOTOS_FOLDER}\n" in TEXT
    lines = [line.replace("$(BIN)", "bin").replace("$(DEMO_PHOTOS)", PHOTOS_FOLDER) for line in TEXT.splitlines()]
    hints = [
        shlex.split(line[0], comments=True) for line in (re.findall('@echo "  (.*)"', line) for line in lines) if line
    ]
    browse, shard, train, report, edit = (words[1:] for words in hints)
    assert all(words[0] == "bin/python" for words in hints)
    assert tyro.cli(BrowseConfig, args=browse[1:]).paths == ("runs/demo/dataset",)
    assert parse_shard_config(shard[1:]).out.endswith("runs/demo/dataset")
    assert parse_train_config(train[1:]).data.endswith("runs/demo/dataset")
    joined = TEXT.replace("\\\n", " ")
    [evaluate] = re.findall(r"^\t\$\(BIN\)/python -m pbe.evaluate (.*)$", joined, re.M)
    compared = parse_evaluate_config(shlex.split(evaluate), prog="").out
    assert compared.endswith("runs/demo/report") and tyro.cli(BrowseConfig, args=report[1:]).paths == (
        "runs/demo/report",
    )
    edited = tyro.cli(EditConfig, args=edit[2:])
    assert edited.model == "runs/demo/train"
    assert {Path(path).parent for path in (edited.source, edited.exemplar)} == {Path(PHOTOS_FOLDER)}
    assert {Path(edited.source).stem, Path(edited.exemplar).stem} < set(PHOTOS)


def test_clean_leaves_what_was_made() -> None:
    [command] = re.findall(r"^clean:\n\t(.*)\n", TEXT, re.M)
    assert command == "rm -rf $(VENV)"
