"""Every form of the published model is read whole at its full size: no tensor is missing, none is left over.

The files have the names and shapes of the real ones and take no room: their numbers are holes or one repeated number.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

from pbe.convert import main
from pbe.model.conditioner import ConditionerConfig
from pbe.model.paint_by_example import ModelConfig, PaintByExample, count_parameters
from pbe.model.unet import UNET_SIZES, unet_config
from pbe.weights.building import SD_V1_VAE, VIT_L_14
from pbe.weights.parts import load_parts
from pipeline.tensors.names import plain_tower
from tests.pbe.weights.original import SCHEDULE, Original, original_tensors

pytestmark = pytest.mark.slow

Tensors = Mapping[str, torch.Tensor]
COUNTS = {"unet": 859_535_364, "mapper": 62_981_120, "tower": 303_179_776, "vae": 83_653_863}
NOTE = {"format": 1, "layout": "pbe", "weights": "raw", "step": 1, "bottleneck": True, "encoders": {}}
NOT_WEIGHTS = (*SCHEDULE, "model_ema.", "position_ids", "first_stage_model.loss.")


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The modules of the published model, without storage."""
    config = ModelConfig(unet_config(UNET_SIZES["sd-v1"], latent_channels=4), ConditionerConfig(1024, 768, 5))
    with torch.device("meta"):
        model = PaintByExample(config)
        return {
            "unet": model.unet,
            "conditioner": model.conditioner,
            "tower": transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**VIT_L_14)),
            "vae": diffusers.AutoencoderKL(**SD_V1_VAE),
        }


def test_sizes_are_those_of_the_published_model(whole: dict[str, Any]) -> None:
    parts = {**whole, "mapper": whole["conditioner"].mapper}
    assert {name: count_parameters(parts[name]) for name in COUNTS} == COUNTS


def _write_holes(path: Path, tensors: Tensors) -> None:
    """Write a safetensors file in half precision whose numbers are holes in the file, read as zeros."""
    header, end = {}, 0
    for name, value in tensors.items():
        header[name] = {"dtype": "F16", "shape": list(value.shape), "data_offsets": [end, end + 2 * value.numel()]}
        end += 2 * value.numel()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def _write_folder(folder: Path, whole: dict[str, Any], encoder: dict[str, Tensors], vae: Tensors) -> None:
    for part in ("unet", "vae"):
        whole[part].save_config(folder / part)
    transformers.CLIPVisionConfig(**VIT_L_14).save_pretrained(folder / "image_encoder")
    _write_holes(folder / "unet/diffusion_pytorch_model.safetensors", whole["unet"].state_dict())
    _write_holes(folder / "vae/diffusion_pytorch_model.safetensors", vae)
    for part, tensors in encoder.items():
        _write_holes(folder / part / "model.safetensors", tensors)
    (folder / "model_index.json").write_text('{"_class_name": "PaintByExamplePipeline"}')


def _original(whole: dict[str, Any], *, use_ema: bool) -> Original:
    states = {name: module.state_dict() for name, module in whole.items()}
    tensors = original_tensors(**states | {"tower": plain_tower(states["tower"])}, levels=4)
    with torch.device("meta"):
        return Original(tensors, use_ema=use_ema)


def _write_checkpoint(path: Path, whole: dict[str, Any]) -> None:
    one = torch.zeros((), dtype=torch.float16)
    shapes = {name: value.shape for name, value in _original(whole, use_ema=True).state_dict().items()}
    repeated = {name: one.expand(shape) for name, shape in shapes.items()}
    torch.save({"state_dict": repeated | {"first_stage_model.loss.logvar": one}, "global_step": 1}, path)


def _write(form: str, path: Path, whole: dict[str, Any]) -> None:
    conditioner, vae = whole["conditioner"].state_dict(), whole["vae"].state_dict()
    tower = plain_tower(whole["tower"].state_dict())
    counter = {"embeddings.position_ids": torch.empty(1, 257, device="meta")}
    if form == "ckpt":
        _write_checkpoint(path, whole)
    elif form == "ours":
        _write_folder(path, whole, {"conditioner": conditioner, "image_encoder": tower}, vae)
        (path / "pbe.json").write_text(json.dumps(NOTE))
    elif form == "transformers 5":
        encoder = conditioner | {f"model.{key}": value for key, value in tower.items()}
        _write_folder(path, whole, {"image_encoder": encoder}, vae)
    else:
        encoder = conditioner | {f"model.vision_model.{key}": value for key, value in (tower | counter).items()}
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        named = re.compile(r"(?<=attentions\.0\.)(to_q|to_k|to_v|to_out\.0)")
        _write_folder(
            path, whole, {"image_encoder": encoder}, {named.sub(lambda m: old[m[0]], k): v for k, v in vae.items()}
        )


@pytest.mark.parametrize("form", ["transformers 4", "transformers 5", "ours", "ckpt"])
def test_every_tensor_of_the_published_model_finds_its_place(tmp_path: Path, whole: dict[str, Any], form: str) -> None:
    path = tmp_path / "model.ckpt"
    _write(form, path, whole)
    parts = load_parts(str(path), dtype="float16")
    loaded = {
        "unet": parts.model.unet, "conditioner": parts.model.conditioner, "tower": parts.tower, "vae": parts.vae,
    }  # fmt: skip
    for name, module in loaded.items():
        shapes = {key: value.shape for key, value in module.state_dict().items()}
        assert shapes == {key: value.shape for key, value in whole[name].state_dict().items()}
        assert {value.dtype for value in module.state_dict().values()} == {torch.float16}
    assert sum(map(count_parameters, loaded.values())) == _count_numbers(path)


@pytest.mark.parametrize("flags", [[], ["--with-ema"]], ids=str)
def test_the_original_class_loads_strictly_what_is_written(
    tmp_path: Path, whole: dict[str, Any], flags: list[str]
) -> None:
    _write("ckpt", tmp_path / "theirs.ckpt", whole)
    assert main(["--model", str(tmp_path / "theirs.ckpt"), "--out", str(tmp_path / "ours.ckpt"), *flags]) == 0
    written = torch.load(tmp_path / "ours.ckpt", weights_only=True, mmap=True)["state_dict"]
    _original(whole, use_ema=bool(flags)).load_state_dict(written, strict=True, assign=True)
    singles = {name for name, value in written.items() if value.dtype == torch.float32}
    assert singles == {*SCHEDULE, *(["model_ema.decay"] if flags else [])}


def _count_numbers(path: Path) -> int:
    """Count the numbers in the files that are weights, by the files' own lists."""
    if path.is_file():
        tensors = torch.load(path, weights_only=True)["state_dict"]
        sizes = {key: value.numel() for key, value in tensors.items()}
    else:
        sizes = {}
        for file in path.rglob("*.safetensors"):
            with file.open("rb") as opened:
                header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
            ends = {key: entry["data_offsets"] for key, entry in header.items()}
            sizes |= {f"{file}:{key}": (last - first) // 2 for key, (first, last) in ends.items()}
    return sum(size for key, size in sizes.items() if not any(word in key for word in NOT_WEIGHTS))
