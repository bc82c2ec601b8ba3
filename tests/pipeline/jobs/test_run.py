"""Runs of a job's command on an output that holds work already."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.facts import facts_of
from pipeline.encoders.vae import VaeEncoder
from pipeline.errors import InputError
from pipeline.jobs.known_encoders import remember_encoders, stamp_encoders
from pipeline.jobs.preparation import PreparedJob
from pipeline.pairs import shard_pairs
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from ray_jobs.sharding import shard_openimages
from tests.pipeline.conftest import finish_with_pictures
from tests.pipeline.pairing.own_pairs import Jpeg, write_pairs

Command = Callable[..., int]


@pytest.fixture(params=["shard", "pairs"])
def command(
    make: Callable[..., PreparedJob],
    sample_folder: Path,
    vae: VaeEncoder,
    clip: ClipEncoder,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    jpeg: Jpeg,
) -> Command:
    """A command whose preset has fewer draws than its complete output, and which takes more flags."""
    if request.param == "pairs":
        flags = ["--pairs", str(write_pairs(tmp_path / "own", jpeg, ("a",))), "--out", str(tmp_path / "out")]
        flags += ["--model", "untrained", "--resolution", "64", "--device", "cpu", "--split-shares", "1", "0", "0"]
        assert shard_pairs([*flags, "--draws", "5"]) == 0
        return lambda *more: shard_pairs([*flags, *more])
    job = make(tmp_path / "out", finish=False, draws=3, limit=1, split_shares=(1, 0, 0))
    finish_with_pictures(job)
    remember_encoders(job.out, stamp_encoders(job.config), facts_of(vae, clip))
    names = {"boxes": "train-annotations-bbox.csv", "images": "train", "classes": "class-descriptions-boxable.csv"}
    names["image-info"] = "train-images-boxable-with-rotation.csv"
    inputs = [part for flag, name in names.items() for part in (f"--{flag}", str(sample_folder / name))]
    flags = ["smoke", *inputs, "--out", str(tmp_path / "out"), "--resolution", "64", "--limit", "1"]
    return lambda *more: shard_openimages([*flags, "--split-shares", "1", "0", "0", *more])


@pytest.mark.heavy
def test_the_draws_of_a_preset_are_a_minimum_and_only_a_lower_number_that_is_given_is_refused(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = read_manifest(Folder(str(tmp_path / "out")))["draws"]
    for _ in range(2):
        assert command() == 0
        said = capsys.readouterr().out
        assert f"going on with the {there} draws that the output has" in said and "nothing to do" in said
    for lower in (["--draws", str(there - 1)], [f"--draws={there - 1}"]):
        with pytest.raises(InputError, match=f"already holds {there}; give at least {there}"):
            command(*lower)
    with pytest.raises(InputError, match=r"seed: 0 there, 5 now") as refusal:
        command("--seed", "5")
    assert "--draws" not in str(refusal.value)
    assert read_manifest(Folder(str(tmp_path / "out")))["draws"] == there
    runs = [json.loads(line) for line in (tmp_path / "out/run/runs.jsonl").read_text().splitlines()]
    assert [run["how"] for run in runs][-5:] == ["complete"] * 2 + ["refused"] * 3
    assert runs[-1]["why"].endswith("--overwrite to start anew") and "unit_draws_made" not in runs[-1]
    assert runs[-4]["unit_draws_made"] == 0 and runs[-4]["seconds"] >= 0 and runs[-4]["began"] <= runs[-4]["ended"]
