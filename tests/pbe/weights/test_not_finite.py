"""Weights with NaN or infinity are refused by tensor, by every command that reads them, before anything is written."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pbe.convert import main as convert
from pbe.weights.building import initialise, model_to_start
from pbe.weights.export import export_model
from pbe.weights.parts import load_parts
from pbe.weights.reading import read_weights
from pipeline.encoders.clip import load_clip
from pipeline.encoders.vae import load_vae
from pipeline.errors import InputError
from tests.pbe.conftest import diffusers_encoder, random_model, tiny_config, tiny_vae
from tests.pbe.editing.tiny_model import write_model

CASES = {  # part of a folder -> a tensor of it, and how an error names it
    "unet": ("conv_out.bias", "conv_out.bias: 1 of 4"),
    "image_encoder": ("uncond_vector", "uncond_vector: 1 of 16"),
    "vae": ("post_quant_conv.bias", "post_quant_conv.bias: 1 of 4"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def _spoil(folder: Path, part: str, tensor: str, number: float) -> None:
    (path,) = (folder / part).glob("*.safetensors")
    tensors = load_file(path)
    (name,) = (name for name in tensors if name.endswith(tensor))
    tensors[name].view(-1)[0] = number
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.heavy
@pytest.mark.parametrize("part", CASES)
@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_every_command_refuses_weights_that_are_not_finite_by_tensor(
    folder: Path, part: str, number: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensor, named = CASES[part]
    _spoil(folder, part, tensor, number)
    with pytest.raises(InputError, match=rf"model: \w+: 1 tensors hold numbers that are NaN or infinite \({named}\)"):
        load_parts(str(folder))
    assert convert(["--model", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert named in capsys.readouterr().err and not (tmp_path / "out").exists()
    weights = read_weights(str(folder))
    if part == "vae":
        with pytest.raises(InputError, match=rf"--vae .*{named}"):
            load_vae(str(folder), device="cpu", dtype="float32")
        assert load_parts(str(folder), vae="untrained").vae is not None  # what the error leads to
    else:
        with pytest.raises(InputError, match=named):
            initialise(model_to_start(weights, tiny_config()), weights)


def test_a_tower_that_is_not_finite_is_refused_for_datasets_and_for_editing(folder: Path) -> None:
    _spoil(folder, "image_encoder", "post_layernorm.bias", float("nan"))
    for load in (lambda: load_clip(str(folder), device="cpu", dtype="float32"), lambda: load_parts(str(folder))):
        with pytest.raises(InputError, match=r"post_layernorm.bias: 1 of 64"):
            load()


def test_weights_beyond_the_range_of_half_precision_are_refused_only_there(folder: Path) -> None:
    _spoil(folder, "unet", "conv_out.bias", 70_000.0)
    load_parts(str(folder))
    load_parts(str(folder), dtype="bfloat16")
    with pytest.raises(InputError, match=r"UNet and conditioner in float16: 1 tensors .*unet.conv_out.bias: 1 of 4"):
        load_parts(str(folder), dtype="float16")


@pytest.mark.parametrize("spoilt", ["model", "vae", "tower"])
def test_an_export_that_is_not_finite_leaves_what_was_there(folder: Path, spoilt: str) -> None:
    model, vae, tower = random_model(tiny_config()), tiny_vae(), diffusers_encoder().model
    with torch.no_grad():
        next({"model": model, "vae": vae, "tower": tower}[spoilt].parameters()).view(-1)[0] = float("inf")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=r"model: (model|VAE|tower) to write: 1 tensors hold numbers that are NaN"):
        export_model(folder, model.state_dict(), model.config, vae=vae, tower=tower, weights="ema", step=3)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
