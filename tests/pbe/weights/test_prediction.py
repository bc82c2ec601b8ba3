"""What a model predicts is part of it: every layout says so, and older code does not take velocities for noise."""

import json
import shutil
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from pbe.convert import main as convert
from pbe.editing.editor import edit, load_editor
from pbe.weights.building import build_model, model_to_start
from pbe.weights.export import export_model
from pbe.weights.hub import CONFIGS
from pbe.weights.opening import load_pipeline
from pbe.weights.own_note import read_prediction, refuse_no_conditioner
from pbe.weights.reading import read_weights
from pipeline.errors import InputError
from tests.pbe.conftest import assert_same, diffusers_encoder, random_model, tiny_config, tiny_vae
from tests.pbe.editing.tiny_model import random_picture

SCHEDULER = "scheduler/scheduler_config.json"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tensors as four models: of noise and of velocities, in both layouts."""
    out = tmp_path_factory.mktemp("models")
    model, parts = random_model(tiny_config()), {"vae": tiny_vae(), "tower": diffusers_encoder().model}
    for prediction in ("epsilon", "v"):
        config = replace(model.config, prediction=prediction)  # type: ignore[arg-type]
        for layout in ("diffusers", "pbe"):
            place = out / f"{prediction}-{layout}"
            export_model(place, model.state_dict(), config, weights="raw", step=3, layout=layout, **parts)  # type: ignore[arg-type]
    return out


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**_read(path), **fields}))


@pytest.mark.parametrize("layout", ["diffusers", "pbe"])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_what_a_model_predicts_comes_back_and_decides_how_a_training_goes_on(
    folders: Path, layout: str, prediction: Any
) -> None:
    folder = folders / f"{prediction}-{layout}"
    weights = read_weights(str(folder))
    assert read_prediction(folder) == weights.prediction == build_model(weights).config.prediction == prediction
    for wanted in ("epsilon", "v"):
        config = replace(tiny_config(), prediction=wanted)
        assert model_to_start(weights, config).config.prediction == wanted


def test_a_model_of_noise_says_nothing_of_it_as_before(folders: Path) -> None:
    for layout in ("diffusers", "pbe"):
        note = _read(folders / f"epsilon-{layout}/pbe.json")
        assert list(note) == ["format", "layout", "weights", "step", "bottleneck", "encoders"] and note["format"] == 1
    assert "prediction_type" not in _read(folders / "epsilon-diffusers" / SCHEDULER)


def test_versions_that_know_only_noise_refuse_a_model_of_velocities(folders: Path) -> None:
    """They take notes of format 1 alone, and schedulers of prediction_type epsilon."""
    for layout in ("diffusers", "pbe"):
        note = _read(folders / f"v-{layout}/pbe.json")
        assert note["format"] != 1 and note["prediction"] == "v"
    assert _read(folders / "v-diffusers" / SCHEDULER)["prediction_type"] == "v_prediction"


def test_diffusers_opens_a_model_of_velocities_as_one(folders: Path) -> None:
    assert load_pipeline(folders / "v-diffusers").scheduler.config.prediction_type == "v_prediction"


@pytest.mark.parametrize("layout", ["diffusers", "pbe"])
def test_conversion_keeps_what_a_model_predicts(
    folders: Path, tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = folders / f"v-{'pbe' if layout == 'diffusers' else 'diffusers'}"
    assert convert(["--model", str(source), "--out", str(tmp_path / "out"), "--layout", layout]) == 0
    assert "raw of step 3, predicts velocities (v)" in capsys.readouterr().out
    found, expected = read_weights(str(tmp_path / "out")), read_weights(str(source))
    assert found.prediction == "v"
    assert_same(found.unet, dict(expected.unet))
    for file in (path for path in (tmp_path / "out").rglob("*") if path.is_file()):
        assert file.read_bytes() == (folders / f"v-{layout}" / file.relative_to(tmp_path / "out")).read_bytes()


def test_velocities_paint_the_same_from_either_layout_and_not_what_noise_would(folders: Path) -> None:
    source, exemplar = random_picture(16, 16), random_picture(9, 9, seed=1)
    painted = [
        edit(load_editor(str(folders / name)), source, exemplar=exemplar, box=(4, 4, 12, 12), steps=2, blend="crop")[0]
        for name in ("v-diffusers", "v-pbe", "epsilon-pbe")
    ]
    assert (painted[0] == painted[1]).all() and (painted[0] != painted[2]).any()


def test_a_scheduler_config_alone_says_what_a_folder_of_others_predicts(folders: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders / "epsilon-diffusers", tmp_path / "published"))
    (folder / "pbe.json").unlink()
    for name, prediction in (("v_prediction", "v"), ("epsilon", "epsilon")):
        _change(folder / SCHEDULER, prediction_type=name)
        assert read_weights(str(folder)).prediction == prediction


def test_without_its_note_a_model_in_our_layout_is_refused_and_not_taken_for_one_of_noise(
    folders: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders / "v-pbe", tmp_path / "copied"))
    (folder / "pbe.json").unlink()
    for read in (read_prediction, lambda place: read_weights(str(place))):
        with pytest.raises(InputError, match=r"pbe\.json: is missing, which says what the UNet predicts"):
            read(folder)


@pytest.mark.parametrize("layout", ["diffusers", "pbe"])
def test_the_configs_of_a_hub_id_are_enough_to_edit_with_either_layout(
    folders: Path, tmp_path: Path, layout: str
) -> None:
    name = f"v-{layout}"
    for pattern in CONFIGS:
        for path in (folders / name).glob(pattern):
            place = tmp_path / path.relative_to(folders / name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    refuse_no_conditioner("someone/model", tmp_path)
    (tmp_path / "pbe.json").unlink()
    (tmp_path / "model_index.json").unlink(missing_ok=True)
    with pytest.raises(InputError, match="has no exemplar conditioner"):
        refuse_no_conditioner("someone/model", tmp_path)


def test_a_hub_id_is_told_by_its_configs_before_its_weights_are_fetched(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fetch(name: str, *, allow_patterns: list[str]) -> str:
        for path in (path for path in (folders / name.partition("/")[2]).rglob("*") if path.is_file()):
            place = path.relative_to(folders)
            if any(fnmatch(str(Path(*place.parts[1:])), pattern) for pattern in allow_patterns):
                (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, tmp_path / place)
        return str(tmp_path / name.partition("/")[2])

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    for model in ("someone/v-diffusers", "someone/v-pbe"):
        assert convert(["--model", model, "--out", str(tmp_path / "v.ckpt")]) == 2
        assert "it predicts velocities (v)" in capsys.readouterr().err
        assert not list(tmp_path.rglob("*.safetensors"))
    for model in ("someone/v-diffusers", "someone/v-pbe"):
        assert read_weights(model).prediction == "v"


@pytest.mark.parametrize(
    ("file", "changed", "expected"),
    [
        ("v-diffusers/scheduler/scheduler_config.json", {"prediction_type": "epsilon"}, "pbe.json beside it says v"),
        ("v-diffusers/scheduler/scheduler_config.json", {"prediction_type": ["v"]}, r"prediction_type is \['v'\]"),
        ("v-diffusers/scheduler/scheduler_config.json", {"rescale_betas_zero_snr": True}, "zero_snr is True"),
        ("v-pbe/pbe.json", {"format": 3}, "is not a note of format 1 or 2"),
        ("v-pbe/pbe.json", {"prediction": "sample"}, "is not a note of format 1 or 2"),
        ("v-pbe/pbe.json", {"prior": "false"}, "is not a note of format 1 or 2"),
        ("v-pbe/pbe.json", {"prediction": []}, "is not a note of format 1 or 2"),
    ],
)
def test_contradictions_and_unknown_predictions_are_refused_by_name(
    folders: Path, tmp_path: Path, file: str, changed: dict[str, object], expected: str
) -> None:
    shutil.copytree(folders, tmp_path / "models")
    _change(tmp_path / "models" / file, **changed)
    with pytest.raises(InputError, match=expected):
        read_weights(str(tmp_path / "models" / file.partition("/")[0]))
