"""A conversion that cannot work is refused by flag and value, before torch is imported, and leaves nothing behind."""

import json
from pathlib import Path

import pytest

from tests.pbe.refusals import Refusal, assert_refused_at_once, files_of, refuse_all

pytestmark = pytest.mark.processes

# name: (arguments, what the message says: flag, value and remedy)
REFUSALS: dict[str, tuple[list[str], list[str]]] = {
    "unknown layout": (["--model", "model", "--out", "out", "--layout", "onnx"], ["--layout"]),
    "no model": (["--model", "", "--out", "out"], ["--model and --out: give both"]),
    "model missing": (["--model", "./none", "--out", "out"], ["--model ./none: no such folder or file", "give the"]),
    "checkpoint missing": (["--model", "none.ckpt", "--out", "out"], ["--model none.ckpt: no such folder or file"]),
    "not a model": (["--model", "notes", "--out", "out"], ["notes: has no unet folder"]),
    "Stable Diffusion": (["--model", "plain", "--out", "out"], ["plain: has no exemplar conditioner"]),
    "damaged note": (["--model", "noted", "--out", "out"], ["pbe.json", "copy the model's folder again"]),
    "not on the hub": (
        ["--model", "no-one/nothing", "--out", "out"],
        ["--model no-one/nothing: not a folder here"],
    ),
    "vae missing": (["--model", "model", "--out", "out", "--vae", "/none"], ["--vae /none: no such folder"]),
    "clip missing": (
        ["--model", "model", "--out", "out", "--clip", "model/x"],
        ["--exemplar-encoder model/x: no such folder"],
    ),
    "taken": (["--model", "model", "--out", "notes"], ["--out notes: holds something other than a model"]),
    "itself": (["--model", "model", "--out", "model"], ["--out model: is the model itself"]),
    "inside": (["--model", "model", "--out", "model/unet/x"], ["--out model/unet/x: is the model itself"]),
    "below a file": (["--model", "model", "--out", "notes/mine.txt/x"], ["mine.txt is a file; give another place"]),
    "checkpoint exists": (["--model", "model", "--out", "old.ckpt"], ["--out old.ckpt: exists already; remove it"]),
    "remote": (["--model", "model", "--out", "s3://bucket/x"], ["--out s3://bucket/x: give a folder on a local disk"]),
    "both into a folder": (
        ["--model", "model", "--out", "x", "--with-ema"],
        ["--with-ema: is for a .ckpt", "--weights"],
    ),
    "both and one": (
        ["--model", "model", "--out", "x.ckpt", "--with-ema", "--weights", "raw"],
        ["--weights raw: --with-ema writes both; leave one of the two out"],
    ),
    "both of one": (
        ["--model", "model", "--out", "x.ckpt", "--with-ema"],
        ["--with-ema: model does not hold raw weights and their moving average", "model/ and model-raw/"],
    ),
    "velocities": (
        ["--model", "velocities", "--out", "x.ckpt"],
        ["--out x.ckpt: the original code cannot hold this model: it predicts velocities (v)", "give a folder"],
    ),
    "layout and name": (["--model", "model", "--out", "x.ckpt", "--layout", "pbe"], ["--layout pbe, give a folder"]),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders that hold no more of a model than its names and configs."""
    place = tmp_path_factory.mktemp("conversion")
    for folder in ("model", "noted", "velocities", "plain"):
        (place / folder / "unet").mkdir(parents=True)
    for folder in ("model", "noted", "velocities"):
        (place / folder / "model_index.json").write_text('{"_class_name": "PaintByExamplePipeline"}')
    note = {"format": 1, "layout": "diffusers", "weights": "raw", "step": 1, "bottleneck": True, "encoders": {}}
    (place / "model/pbe.json").write_text(json.dumps(note))
    (place / "velocities/pbe.json").write_text(json.dumps({**note, "format": 2, "prediction": "v"}))
    (place / "noted/pbe.json").write_text(json.dumps({**note, "format": 99}))
    (place / "notes").mkdir()
    (place / "notes/mine.txt").touch()
    (place / "old.ckpt").touch()
    return place


@pytest.fixture(scope="module")
def refusals(place: Path) -> dict[str, Refusal]:
    before = files_of(place)
    refusals = refuse_all("pbe.convert", {name: arguments for name, (arguments, _) in REFUSALS.items()}, folder=place)
    assert files_of(place) == before  # nothing was left behind
    return refusals


@pytest.mark.parametrize("name", REFUSALS)
def test_a_mistake_is_refused_by_flag_value_and_remedy_before_torch(name: str, refusals: dict[str, Refusal]) -> None:
    assert_refused_at_once(refusals[name], REFUSALS[name][1])
