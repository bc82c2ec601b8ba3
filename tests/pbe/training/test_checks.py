"""A training that cannot work is refused by flag and value, before torch is imported, and leaves nothing behind."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbe.feed.dataset import open_dataset
from pbe.training.config import PRESETS, lasting
from pbe.training.run_folder import keep_shards, lock_run
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from tests.pbe.refusals import Refusal, assert_refused_at_once, files_of, refuse_all
from tests.synthetic import write_manifest, write_synthetic

pytestmark = pytest.mark.processes


def _train(*flags: str, data: str = "data", out: str = "out") -> list[str]:
    """A training that would work, but for the flags."""
    base = ["smoke", "--data", data, "--vae", "none", "--clip", "none", "--mapper-blocks", "1", "--out", out]
    return [*base, *flags]


# name: (arguments, what the message says: flag, value and remedy)
REFUSALS: dict[str, tuple[list[str], list[str]]] = {
    "preset": (["huge"], ["preset 'huge': give one of tiny, smoke, paper, 24gb"]),
    "unknown flag": (_train("--learning-rate", "1"), ["--learning-rate"]),
    "not a number": (_train("--lr", "nan"), ["--lr nan: give a number from 0"]),
    "lanes": (_train("--lanes", "3"), ["--lanes 3: does not divide --batch-size 2"]),
    "stage": (_train("--zero-stage", "0", "--dtype", "bf16"), ["--dtype bf16", "give --zero-stage 1, 2 or 3"]),
    "grids without a VAE": (_train("--grid-every", "1"), ["--grid-every decodes pictures: give --vae"]),
    "micro-batch": (_train("--batch-size", "8", "--micro-batch", "3"), ["--batch-size 8", "give a --micro-batch from"]),
    "dataset missing": (_train(data="nowhere"), ["nowhere: no such folder; give a dataset's"]),
    "dataset unfinished": (_train(data="empty"), ["empty: no manifest.json", "run the command that makes it again"]),
    "dataset damaged": (_train(data="torn"), ["shards.parquet: its sha256 is not the one in manifest.json"]),
    "batch too large": (_train("--batch-size", "600"), ["fewer than one global batch of 600", "lower the batch size"]),
    "no sources": (_train("--no-augmentation", "--vae", "untrained", "--clip", "untrained"), ["with --keep-source"]),
    "weights missing": (_train("--init-from", "./sd"), ["--init-from ./sd: no such folder or file"]),
    "weights of another kind": (_train("--init-from", "notes.txt"), ["--init-from notes.txt: ends in none of"]),
    "weights not on the hub": (_train("--init-from", "no-one/nothing"), ["--init-from no-one/nothing: not a folder"]),
    "weights of velocities": (
        _train("--init-from", "velocities"),
        ["--init-from velocities: predicts velocities, not noise; give --prediction v"],
    ),
    "weights of other latents": (
        _train("--init-from", "wide"),
        ["--init-from wide: its latents have 12 channels, those of ", " 4; give --no-prior"],
    ),
    "vae missing": (_train("--vae", "/no/vae"), ["--vae /no/vae: no such folder or file"]),
    "clip missing": (_train("--clip", "data/clip"), ["--exemplar-encoder data/clip: no such folder or file"]),
    "vae of another size": (
        _train("--vae", "vae"),
        ["--vae vae: 16 channels of a latent, ", "has 4; give"],
    ),
    "clip not named": (
        ["smoke", "--data", "trained", "--out", "out", "--vae", "none", "--mapper-blocks", "1"],
        ["--exemplar-encoder: the dataset was encoded with openai/clip; give it, or `none`"],
    ),
    "out in the dataset": (_train(out="data/run"), ["data/run: lies in the dataset; give another folder"]),
    "out is a file": (_train(out="notes.txt"), ["notes.txt is a file; give another place"]),
    "out remote": (_train(out="s3://bucket/run"), ["--out s3://bucket/run: give a folder on a disk"]),
    "out busy": (_train(out="busy"), ["busy: another training is at work here"]),
    "nothing to export": (_train("--export-only"), ["holds no checkpoint to export; train first"]),
    "place of the raw weights": (
        _train("--ema", "0.9", out="taken"),
        ["taken: its model-raw holds something other than a model", "give --export-weights ema"],
    ),
    "begun": (_train("--resume", "never", out="begun"), ["begun: holds checkpoints; give --resume auto"]),
    "begun otherwise": (
        _train("--seed", "6", out="begun"),
        ["(seed 0 -> 6); to go on with that one, add `--seed 0`; or give another --out"],
    ),
    "begun with other data": (
        _train(data="other", out="begun"),
        ["was begun with other shards (dataset ", "give that dataset again, or another --out"],
    ),
    "shards remade": (_train(data="other", out="kept"), ["was begun with other shards (changed: 000001-d00); give"]),
    "shards gone": (_train(data="data", out="more"), ["was begun with other shards (went: 000000-d01, 000001-d01)"]),
    "another recipe": (_train(data="other", out="recipe"), ["(the same ones by another recipe: dataset "]),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets, whole and not, and folders of trainings."""
    place = tmp_path_factory.mktemp("checks")
    for name, counts in (("data", [[9, 5]]), ("other", [[9, 6]]), ("torn", [[9, 5]]), ("trained", [[9, 5]])):
        write_synthetic(place / name, counts, side=8, dimension=16)
    with (place / "torn/shards.parquet").open("ab") as file:
        file.write(b"x")
    trained = Folder(str(place / "trained"))
    write_manifest(trained, {**read_manifest(trained), "encoders": {"vae": "untrained", "clip": "openai/clip"}})
    (place / "empty").mkdir()
    (place / "notes.txt").touch()
    (place / "taken/model-raw").mkdir(parents=True)
    (place / "taken/model-raw/notes.txt").touch()
    (place / "vae").mkdir()
    vae = {"_class_name": "AutoencoderKL", "latent_channels": 16, "block_out_channels": [8, 8, 8, 16]}
    (place / "vae/config.json").write_text(json.dumps(vae))
    (place / "vae/diffusion_pytorch_model.safetensors").touch()
    for part in ("unet", "scheduler"):
        (place / "velocities" / part).mkdir(parents=True)
    (place / "velocities/scheduler/scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    (place / "wide/unet").mkdir(parents=True)
    (place / "wide/unet/config.json").write_text('{"out_channels": 12}')
    (place / "busy").mkdir()
    state = {
        "config": lasting(replace(PRESETS["smoke"], mapper_blocks=1)),
        "position": {"dataset": open_dataset(str(place / "data"), split="train").digest},
    }
    begin(place / "begun", state)
    write_synthetic(place / "grown", [[9, 5], [6, 7]], side=8, dimension=16)
    for out, data in (("kept", "data"), ("more", "grown"), ("recipe", "other")):
        contents = open_dataset(str(place / data), split="train").contents
        position = {"dataset": f"{contents.digest}{'?' * (out == 'recipe')}", "draws": contents.draws}
        begin(place / out, {**state, "position": position})
        keep_shards(place / out, contents, anew=True)
    return place


def begin(out: Path, state: dict[str, Any]) -> None:
    """Leave what a training leaves at its first checkpoint."""
    (out / "checkpoints/step-00000002").mkdir(parents=True)
    (out / "checkpoints/step-00000002/state.json").write_text(json.dumps(state))


@pytest.fixture(scope="module")
def refusals(place: Path) -> dict[str, Refusal]:
    with lock_run(place / "busy"):
        before = files_of(place)
        lines = {name: arguments for name, (arguments, _) in REFUSALS.items()}
        refusals = refuse_all("pbe.train", lines, folder=place)
    assert files_of(place) == before  # nothing was left behind
    return refusals


@pytest.mark.parametrize("name", REFUSALS)
def test_a_mistake_is_refused_by_flag_value_and_remedy_before_torch(name: str, refusals: dict[str, Refusal]) -> None:
    assert_refused_at_once(refusals[name], REFUSALS[name][1])
