"""Weights: a folder, file or hub id of published or own weights -> tensors under diffusers' names.

Reads diffusers' folders of Stable Diffusion v1 and Paint by Example (.safetensors or .bin, encoder keys of transformers
4 and 5), checkpoints of the original code (`.ckpt`), and what `pbe.export` writes. Never unpickles more than tensors.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
import safetensors
import torch
from safetensors.torch import load_file

from pbe.ldm import conditioner_from_ldm, is_ldm, tower_from_ldm, unet_from_ldm, vae_from_ldm
from pbe.pickles import load_pickled_tensors
from pipeline.errors import InputError

NOTE_FILE = "pbe.json"
Tensors = Mapping[str, torch.Tensor]

FORMS = (
    "give a diffusers folder or hub id of Stable Diffusion v1 or Paint by Example, a .ckpt of the original code, "
    "or a folder written by this project"
)
_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
_PICKLED = (".ckpt", ".pt", ".pth", ".bin")
_PARTS = ("unet", "conditioner", "image_encoder", "vae")


@dataclass(frozen=True)
class Weights:
    """Tensors under diffusers' names, and what is known of the model they belong to."""

    source: str
    unet: Tensors
    conditioner: Tensors = field(default_factory=dict)
    """Empty: weights of Stable Diffusion."""
    tower: Tensors = field(default_factory=dict)
    """CLIP vision tower, names without `vision_model.`; empty: not there."""
    vae: Tensors = field(default_factory=dict)
    """Only of original checkpoints; a folder's VAE is loaded by `pipeline.encoders.load_vae(folder)`."""
    unet_config: Mapping[str, Any] | None = None
    """diffusers' config; None: an original checkpoint, Stable Diffusion v1 by default."""
    tower_config: Mapping[str, Any] | None = None
    """transformers' config; None: ViT-L/14."""
    note: Mapping[str, Any] = field(default_factory=dict)
    """What `pbe.export` recorded, such as `weights`: raw or ema."""


def read_weights(source: str) -> Weights:
    """Read the weights at a folder, file or hub id, whatever their layout.

    Raises:
        InputError: nothing is there, the layout is unknown, or the file cannot be read safely.
    """
    path = Path(source)
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_file(path)
    return _read_folder(_download(source))


def _download(source: str) -> Path:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source) or source.startswith("."):
        raise InputError(f"{source}: no such folder or file; {FORMS}")
    try:
        folder = _snapshot(source, ".safetensors")
        parts = [folder / part for part in _PARTS if (folder / part / "config.json").exists()]
        return folder if all(map(_weights_file, parts)) else _snapshot(source, ".bin")
    except (OSError, ValueError) as error:  # the hub's own errors derive from these
        raise InputError(
            f"{source}: neither a folder nor to be had from the hub ({type(error).__name__}); {FORMS}"
        ) from error


def _snapshot(source: str, suffix: str) -> Path:
    """Fetch configs and weights of the parts used here; not the variants (fp16, non_ema ...) that lie beside them."""
    weights = [f"{part}/{stem}{suffix}" for part in _PARTS for stem in _STEMS]
    configs = ["model_index.json", NOTE_FILE, *(f"{part}/*.json" for part in _PARTS)]
    return Path(huggingface_hub.snapshot_download(source, allow_patterns=[*configs, *weights]))


def _read_file(path: Path) -> Weights:
    state = _read_tensors(path)
    if not is_ldm(state):
        raise InputError(f"{path}: no tensor is named model.diffusion_model.*; {FORMS}")
    try:
        conditioner = conditioner_from_ldm(state)
        tower = _plain_tower(tower_from_ldm(state)) if conditioner else {}
        return Weights(str(path), unet_from_ldm(state), conditioner, tower, vae_from_ldm(state))
    except ValueError as error:
        raise InputError(f"{path}: {error}; {FORMS}") from error


def _read_folder(folder: Path) -> Weights:
    if not (folder / "unet").is_dir():
        raise InputError(f"{folder}: has no unet folder; {FORMS}")
    encoder, encoder_config = _read_encoder(folder)
    tower = {key.removeprefix("model."): value for key, value in encoder.items() if key.startswith("model.")}
    return Weights(
        source=str(folder),
        unet=_read_part(folder / "unet"),
        conditioner={key: value for key, value in encoder.items() if not key.startswith("model.")},
        tower=_plain_tower(tower),
        unet_config=_read_json(folder / "unet" / "config.json"),
        tower_config=encoder_config,
        note=_read_json(folder / NOTE_FILE) if (folder / NOTE_FILE).exists() else {},
    )


def _read_encoder(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
    """Read conditioner and CLIP tower (`model.*`) in diffusers' layout or in ours; nothing from Stable Diffusion's."""
    own, encoder = folder / "conditioner", folder / "image_encoder"
    if not own.is_dir() and not _is_paint_by_example(folder):
        return {}, None
    tensors = _read_part(encoder) if encoder.is_dir() else {}
    if own.is_dir():
        tensors = {f"model.{key}": value for key, value in tensors.items()} | _read_part(own)
    return tensors, _read_json(encoder / "config.json") if encoder.is_dir() else None


def _is_paint_by_example(folder: Path) -> bool:
    index = folder / "model_index.json"
    return index.exists() and _read_json(index).get("_class_name") == "PaintByExamplePipeline"


def _plain_tower(tower: Tensors) -> dict[str, torch.Tensor]:
    """Level what versions of transformers save: the prefix `vision_model.`, the counter `position_ids`."""
    return {k.removeprefix("vision_model."): v for k, v in tower.items() if not k.endswith("position_ids")}


def _read_part(folder: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of one part of a pipeline's folder.

    Raises:
        InputError: it has no weights.
    """
    path = _weights_file(folder)
    if path is None:
        raise InputError(f"{folder}: has no weights, such as {_STEMS[0]}.safetensors or {_STEMS[2]}.bin; {FORMS}")
    return _read_tensors(path)


def _weights_file(folder: Path) -> Path | None:
    """Find a part's weights, safetensors before pickles."""
    names = [f"{stem}{suffix}" for suffix in (".safetensors", ".bin") for stem in _STEMS]
    return next((folder / name for name in names if (folder / name).exists()), None)


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        try:
            return load_file(path)  # type: ignore[no-any-return]
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"{path}: is no whole safetensors file ({error}); copy it again") from error
    if path.suffix in _PICKLED:
        return load_pickled_tensors(path)
    raise InputError(f"{path}: ends neither in .safetensors nor in {', '.join(_PICKLED)}; {FORMS}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); {FORMS}") from error
