"""Raw weights and their average side by side: --weights chooses, what was taken is said, what is absent is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pbe.convert import main as convert
from pbe.editing.checks import check_model
from pbe.editing.config import EditConfig
from pbe.weights.export import export_model
from pbe.weights.reading import read_weights
from pipeline.errors import InputError
from tests.pbe.conftest import LDM_SIZE, assert_same, diffusers_encoder, random_model, tiny_config, tiny_vae
from tests.pbe.editing.tiny_model import write_model
from tests.pbe.weights.forms import rewrite_part, write_part
from tests.pbe.weights.ldm_names import ldm_conditioner, ldm_unet

Tensors = dict[str, torch.Tensor]
UNET_FILE = "diffusion_pytorch_model.safetensors"


def _doubled(tensors: Any) -> Tensors:
    return {name: value * 2 for name, value in tensors.items()}


def _averages(state: Tensors, *, of_all: bool) -> Tensors:
    """Name averages as the original code's LitEma does: no dots, `decay` and `num_updates` beside them."""
    names = [name for name in state if of_all or name.startswith("model.")]
    start = "" if of_all else "model."
    averages = {f"model_ema.{name.removeprefix(start).replace('.', '')}": state[name] * 2 for name in names}
    return {**averages, "model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7)}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tensors]:
    """The original code's checkpoint without an average, and its tensors."""
    model = random_model(tiny_config(size=LDM_SIZE))
    state = ldm_unet(model.unet.state_dict(), levels=3) | ldm_conditioner(model.conditioner.state_dict())
    path = tmp_path_factory.mktemp("ldm") / "raw.ckpt"
    torch.save({"state_dict": state}, path)
    return path, state


@pytest.mark.heavy
@pytest.mark.parametrize("of_all", [False, True], ids=["of the UNet alone", "of everything"])
def test_a_checkpoints_average_is_taken_where_it_is_chosen(
    tmp_path: Path, checkpoint: tuple[Path, Tensors], of_all: bool
) -> None:
    path, state = tmp_path / "both.ckpt", checkpoint[1]
    torch.save({"state_dict": {**state, **_averages(state, of_all=of_all)}}, path)
    raw, average = read_weights(str(path)), read_weights(str(path), choice="ema")
    assert_same(average.unet, _doubled(raw.unet))
    assert_same(average.conditioner, _doubled(raw.conditioner) if of_all else dict(raw.conditioner))
    assert_same(read_weights(str(path), choice="raw").unet, dict(raw.unet))
    counts = {"decay": pytest.approx(0.9999), "updates": 7}
    assert (raw.note, average.note) == ({"weights": "raw"}, {"weights": "ema", "average": counts})
    assert raw.taken == "weights: raw; their moving average lies beside them, which --weights ema takes"
    assert average.taken.startswith("weights: moving average; " if of_all else "weights: moving average of the UNet; ")
    assert ("its conditioner has none: raw" in average.taken) == (not of_all)


def test_a_tensor_that_was_not_averaged_is_raw_and_named(tmp_path: Path, checkpoint: tuple[Path, Tensors]) -> None:
    path, state = tmp_path / "both.ckpt", checkpoint[1]
    averages = _averages(state, of_all=False)
    del averages["model_ema.diffusion_modelout2bias"]
    torch.save({"state_dict": {**state, **averages}}, path)
    average = read_weights(str(path), choice="ema")
    assert average.unet["conv_out.bias"].equal(state["model.diffusion_model.out.2.bias"])
    assert "; model.diffusion_model.out.2.bias (1 of " in average.taken


@pytest.mark.parametrize("layout", ["unet_ema/", "non_ema"])
@pytest.mark.parametrize("form", ["safetensors", "sharded bin"])
def test_a_folders_average_is_taken_where_it_is_chosen(tmp_path: Path, layout: str, form: str) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "pbe.json").unlink()
    plain = load_file(folder / "unet" / UNET_FILE)
    if layout == "unet_ema/":  # as diffusers' training scripts leave it
        shutil.copytree(folder / "unet", folder / "unet_ema")
        (folder / "unet_ema" / UNET_FILE).unlink()
        write_part(folder / "unet_ema", _doubled(plain), form)
        rewrite_part(folder / "unet", form)
        default, expected = "raw", {"raw": plain, "ema": _doubled(plain)}
    else:  # as Stable Diffusion is published
        save_file(_doubled(plain), folder / "unet/diffusion_pytorch_model.non_ema.safetensors")
        default, expected = "ema", {"raw": _doubled(plain), "ema": plain}
    for choice in ("auto", "raw", "ema"):
        kind = default if choice == "auto" else choice
        weights = read_weights(str(folder), choice=choice)  # type: ignore[arg-type]
        assert_same(weights.unet, expected[kind])
        assert weights.note == {"weights": kind}
        assert f"weights: {'raw' if kind == 'raw' else 'moving average'}" in weights.taken
        assert ("its conditioner has none: raw" in weights.taken) == (kind == "ema")


def test_conversion_says_which_weights_it_took_and_records_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "pbe.json").unlink()
    shutil.copytree(folder / "unet", folder / "unet_ema")
    save_file(_doubled(load_file(folder / "unet" / UNET_FILE)), folder / "unet_ema" / UNET_FILE)
    assert convert(["--model", str(folder), "--out", str(tmp_path / "out"), "--weights", "ema"]) == 0
    assert "weights: moving average of the UNet; its conditioner has none: raw" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/pbe.json").read_text())["weights"] == "ema"
    assert_same(read_weights(str(tmp_path / "out"), choice="ema").unet, load_file(folder / "unet_ema" / UNET_FILE))


def test_weights_that_are_not_there_are_refused_by_name_before_a_folder_is_loaded(
    tmp_path: Path, checkpoint: tuple[Path, Tensors]
) -> None:
    model, published = random_model(tiny_config()), write_model(tmp_path / "published")
    for kind in ("raw", "ema"):
        encoders = {"vae": tiny_vae(), "tower": diffusers_encoder().model}
        export_model(tmp_path / kind, model.state_dict(), model.config, weights=kind, step=1, **encoders)  # type: ignore[arg-type]
    (published / "pbe.json").unlink()
    for name, choice, why in (
        ("raw", "ema", "it holds raw weights"),
        ("ema", "raw", "it holds ema weights"),
        ("published", "ema", "no unet_ema/ lies in it"),
    ):
        config = EditConfig(model=str(tmp_path / name), out="a.png", weights=choice)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=rf"--weights {choice}: .*{name} has none \({why}\); leave --weights out"):
            check_model(config)
    assert read_weights(str(published), choice="raw").taken == ""
    assert_same(read_weights(str(checkpoint[0]), choice="raw").unet, dict(read_weights(str(checkpoint[0])).unet))
    with pytest.raises(InputError, match=r"--weights ema: .*raw.ckpt has none \(no tensor is named model_ema"):
        read_weights(str(checkpoint[0]), choice="ema")


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training's folder as it ends: the average in model/, and the raw weights in model-raw/."""
    out = tmp_path_factory.mktemp("training")
    vae, tower = tiny_vae(), diffusers_encoder().model
    for name, kind, seed in (("model", "ema", 1), ("model-raw", "raw", 0)):
        model = random_model(tiny_config(), seed=seed)
        export_model(
            out / name, model.state_dict(), model.config, vae=vae, tower=tower, weights=kind, step=60,  # type: ignore[arg-type]
            average={"decay": 0.5, "updates": 59} if kind == "ema" else None,
        )  # fmt: skip
    return out


def _assert_reads(source: Path, choice: str, expected: Path, kind: str) -> None:
    weights, only = read_weights(str(source), choice=choice), read_weights(str(_alone(expected)))  # type: ignore[arg-type]
    assert_same(weights.unet, only.unet)
    assert_same(weights.conditioner, only.conditioner)
    assert weights.note["weights"] == kind and (weights.source == str(expected))
    taken, other = ("raw", "ema") if kind == "raw" else ("moving average", "raw")
    assert weights.taken.startswith(f"weights: {taken}; ") and f"which --weights {other} takes" in weights.taken


def _alone(model: Path) -> Path:
    """The same model under a name that nothing lies beside."""
    alone = model.with_name(f"{model.name} alone")
    if not alone.exists():
        alone.symlink_to(model)
    return alone


@pytest.mark.parametrize("named", ["", "model"], ids=["the training", "its model"])
def test_a_training_is_its_average_unless_the_raw_weights_beside_it_are_chosen(training: Path, named: str) -> None:
    for choice, model, kind in (("auto", "model", "ema"), ("ema", "model", "ema"), ("raw", "model-raw", "raw")):
        _assert_reads(training / named, choice, training / model, kind)
    alone = read_weights(str(training / "model-raw"))
    assert (alone.note["weights"], alone.taken) == ("raw", "")


def test_conversion_takes_the_raw_weights_of_a_training_and_writes_over_none_of_its_models(
    training: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", str(training), "--weights", "raw"]
    assert convert([*flags, "--out", str(tmp_path / "raw")]) == 0
    assert "weights: raw; their moving average lies beside them, which --weights ema takes" in capsys.readouterr().out
    assert_same(read_weights(str(tmp_path / "raw")).unet, load_file(training / "model-raw/unet" / UNET_FILE))
    for place in ("model-raw", "model", "model-raw/x.ckpt"):
        assert convert([*flags, "--out", str(training / place)]) == 2
        assert "is the model itself, or one lies in the other" in capsys.readouterr().err
    assert convert(["--model", str(training), "--out", str(tmp_path / "average"), "--layout", "pbe"]) == 0
    note = json.loads((tmp_path / "average/pbe.json").read_text())
    assert note["average"] == {"decay": 0.5, "updates": 59}


def test_raw_weights_of_another_export_are_taken_for_nothing(training: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(training, out, symlinks=True)
    note = out / "model-raw/pbe.json"
    for other in ({"step": 40}, {"weights": "ema"}, {"format": 99}):
        note.write_text(json.dumps({**json.loads((training / "model-raw/pbe.json").read_text()), **other}))
        average = read_weights(str(out))
        assert (average.note["weights"], average.taken) == ("ema", "")
        told = "is not a note of format" if "format" in other else "model-raw is of another export; write both anew"
        for refused in (lambda: check_model(EditConfig("a.png", str(out), weights="raw")), lambda: _raw_of(out)):
            with pytest.raises(InputError, match=told):
                refused()
    shutil.rmtree(out / "model-raw")
    with pytest.raises(InputError, match=r"--weights raw: .*has none \(it holds ema weights\)"):
        _raw_of(out)


def _raw_of(out: Path) -> None:
    read_weights(str(out), choice="raw")


@pytest.mark.heavy
def test_both_kinds_go_into_a_checkpoint_only_from_where_both_lie(
    training: Path, tmp_path: Path, checkpoint: tuple[Path, Tensors], capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "both.ckpt"), "--with-ema"]
    for source in (training / "model-raw", checkpoint[0]):
        assert convert(["--model", str(source), *out]) == 2
        told = f"--with-ema: {source} does not hold raw weights and their moving average side by side; leave --with-ema"
        assert told in capsys.readouterr().err
    assert convert(["--model", str(training), *out]) == 2  # too small for the original code's only config
    assert "original code cannot hold this model: the UNet has other tensors" in capsys.readouterr().err
