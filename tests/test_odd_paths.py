"""Every flag that takes a path takes any name, absolute or relative, and nothing of it is a pattern, URL or flag."""

import json
from pathlib import Path

import pytest

from dashboards.config import BrowseConfig
from dashboards.kinds import Kind, find_kind
from dashboards.places import refuse_bad_folder, refuse_bad_place, write_file
from pbe.convert import ConvertConfig, check_paths
from pbe.editing.case_table import read_cases, single_case
from pbe.editing.config import EditConfig
from pbe.editing.inputs import read_case
from pbe.editing.outputs import find_outputs
from pbe.train import parse_train_config
from pbe.weights.hub import find_configs
from pbe.weights.model_files import encoder_config
from pipeline.config import ShardConfig
from pipeline.jobs.inputs import check_inputs
from pipeline.pairing.config import PairConfig
from pipeline.recorded_inputs import find_inputs
from pipeline.storage.folder import Folder
from ray_jobs.command import parse_shard_config
from tests.pbe.editing.tiny_model import write_pictures
from tests.pipeline.storage.odd_names import ALL_OF_IT

PARTS = {
    "unet": {"block_out_channels": [32, 64]},
    "vae": {"_class_name": "AutoencoderKL", "block_out_channels": [8, 8, 8, 8]},
    "image_encoder": {"model_type": "clip_vision_model", "hidden_size": 64},
}
NAMES = (ALL_OF_IT, "a::b", "zip::c", "-x", "p[1]", "file:x", "~y")


@pytest.fixture(params=NAMES)
def place(request: pytest.FixtureRequest, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of an odd name, in which lie an Open Images folder, a model and pictures; the test works beside it."""
    monkeypatch.chdir(tmp_path)
    place = Path(request.param)
    place.mkdir()
    (place / "in").symlink_to(sample_folder)
    for part, config in PARTS.items():
        (place / "model" / part).mkdir(parents=True)
        (place / "model" / part / "config.json").write_text(json.dumps(config))
        (place / "model" / part / "model.safetensors").touch()
    (place / "model/model_index.json").write_text('{"_class_name": "PaintByExamplePipeline"}')
    write_pictures(place)
    return place


def test_flags_of_the_shard_job_and_of_browse(place: Path) -> None:
    for root in (place, place.absolute()):
        (place / "deny.csv").write_text("image_id,box_id,label,XMin,YMin,XMax,YMax\nnone,,,,,,\n")
        inputs = {
            "boxes": (f"{root}/in/train-annotations-bbox.csv",),
            "images": (f"{root}/in/train",),
            "image_info": (f"{root}/in/train-*.csv",),
        }
        classes = f"{root}/in/class-descriptions-boxable.csv"
        models = {"vae": f"{root}/model/vae", "clip": f"{root}/model"}
        checked = check_inputs(ShardConfig(**inputs, **models, classes=classes, deny=f"{root}/deny.csv"))
        assert len(checked.image_info) == 2 and checked.class_names and checked.store.folders
        assert checked.config.vae == str(place.absolute() / "model/vae")
        out = parse_shard_config([f"--out={root}"]).out
        assert out == str(place.absolute())
        Folder(out).write("run/recipe.json", b"{}")
        Folder(out).write_json("run/config.json", {**inputs, "classes": classes})
        assert find_kind(Folder(out)) is Kind.DATASET
        for given in ({}, {**inputs, "classes": classes}):
            found = find_inputs(Folder(out), **given)
            assert found.tables and len(found.image_info) == 2 and found.store and found.class_names
            assert not found.absent
        page = BrowseConfig((str(root),), sheet=f"{root}/{place.name}.html").sheet
        refuse_bad_place("--sheet", page)
        refuse_bad_folder("--extract", f"{root}/new")
        write_file(page, b"page")
        assert (place / f"{place.name}.html").read_bytes() == b"page"


def test_flags_of_pairs_of_the_trainer_and_of_convert(place: Path) -> None:
    for root in (place, place.absolute()):
        config = PairConfig(pairs=str(root), out=f"{root}/new", model=f"{root}/model").shard_config(table="")
        assert Path(config.vae) == place.absolute() / "model"
        trained = parse_train_config(["smoke", f"--data={root}/data", f"--out={root}/run", f"--cache={root}/cache"])
        assert [trained.data, trained.out, trained.cache] == [
            str(place.absolute() / n) for n in ("data", "run", "cache")
        ]
        assert find_configs("--init-from", f"{root}/model") == root / "model"
        for part in ("vae", "image_encoder"):
            assert encoder_config("--vae", f"{root}/model", part)
        check_paths(ConvertConfig(model=f"{root}/model", out=f"{root}/new"))


def test_flags_of_edit(place: Path) -> None:
    rows = "source,mask,exemplar\nsource.png,mask.png,exemplar.png\n"
    (place / "cases*.csv").write_text(rows)
    for root in (place, place.absolute()):
        pictures = {what: f"{root}/{what}.png" for what in ("source", "mask", "exemplar")}
        single = EditConfig(model="", out=f"{root}/{place.name}.png", **pictures)
        table = EditConfig(model="", out=str(root), cases=f"{root}/cases*.csv")
        for case in (single_case(single, name="a"), *read_cases(table)[0]):
            assert read_case(case).mask.any()
        assert find_outputs(single).place("a.png") == str(place.absolute() / "a.png")
        assert find_outputs(table).folder.url == str(place.absolute())
        folder = find_outputs(EditConfig(model="", out=f"{root}/v1.5/", **pictures)).folder
        assert folder.url == str(place.absolute() / "v1.5")
