"""Reading: a folder, file or hub id of published or own weights -> tensors under diffusers' names, and configs.

Reads diffusers' folders of Stable Diffusion v1 and Paint by Example (.safetensors or .bin, encoder keys of transformers
4 and 5), checkpoints of the original code (`.ckpt`), and what `pbe.weights.export` writes. Never unpickles more than
tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pbe.model.schedule import NOISE_SCHEDULE
from pbe.weights.hub import fetch
from pbe.weights.ldm_checkpoint import conditioner_from_ldm, is_ldm, tower_from_ldm, unet_from_ldm, vae_from_ldm
from pbe.weights.model_files import FORMS, PATHS, find_weights, is_paint_by_example, model_folder, read_json
from pbe.weights.own_note import NOTE_FILE, read_note
from pbe.weights.tensor_files import read_part, read_tensors
from pbe.weights.tensor_names import Tensors, modern_vae, plain_tower, under
from pipeline.encoders.names import refuse_missing
from pipeline.errors import InputError

_PARTS = ("unet", "conditioner", "image_encoder", "vae")
_SCHEDULE = {"prediction_type": "epsilon", **NOISE_SCHEDULE}


@dataclass(frozen=True)
class Weights:
    """Tensors under diffusers' names, and what is known about the model that they belong to."""

    source: str
    unet: Tensors = field(default_factory=dict)
    """Empty: weights of an encoder alone."""
    conditioner: Tensors = field(default_factory=dict)
    """Empty: weights of Stable Diffusion."""
    tower: Tensors = field(default_factory=dict)
    """CLIP vision tower, names without `vision_model.`; empty: none."""
    vae: Tensors = field(default_factory=dict)
    """Empty: none."""
    unet_config: Mapping[str, Any] | None = None
    """diffusers' config; None: an original checkpoint, Stable Diffusion v1 by default."""
    tower_config: Mapping[str, Any] | None = None
    """transformers' config; None: ViT-L/14."""
    vae_config: Mapping[str, Any] | None = None
    """diffusers' config; None: Stable Diffusion v1's."""
    note: Mapping[str, Any] = field(default_factory=dict)
    """What `pbe.weights.export` recorded, such as `weights`: raw or ema."""


def read_weights(source: str) -> Weights:
    """Read weights of any known layout.

    Args:
        source: a folder, a file or a hub id; the folder of a training means its `model/`.

    Raises:
        InputError: it does not exist, its layout is unknown, or it cannot be read safely.
    """
    refuse_missing(source, source, PATHS)
    path = Path(source)
    if path.is_dir():
        return _read_folder(model_folder(path), str(model_folder(path)))
    if path.is_file():
        return _read_file(path)
    return _read_folder(fetch(source, parts=_PARTS, extra=["model_index.json", NOTE_FILE]), source)


def _read_file(path: Path) -> Weights:
    state = read_tensors(path)
    if not is_ldm(state):
        raise InputError(f"{path}: no tensor is named model.diffusion_model.*; {FORMS}")
    try:
        conditioner = conditioner_from_ldm(state)
        tower = tower_from_ldm(state) if conditioner else {}
        return Weights(str(path), unet_from_ldm(state), conditioner, tower, vae_from_ldm(state))
    except ValueError as error:
        raise InputError(f"{path}: {error}; {FORMS}") from error


def _read_folder(folder: Path, source: str) -> Weights:
    if not (folder / "unet").is_dir():
        raise InputError(f"{source}: has no unet folder; {FORMS}")
    encoder, encoder_config = _read_encoder(folder)
    vae = folder / "vae"
    has_vae = find_weights(vae) is not None
    _refuse_foreign_schedule(folder)
    return Weights(
        source=source,
        unet=read_part(folder / "unet"),
        conditioner={key: value for key, value in encoder.items() if not key.startswith("model.")},
        tower=plain_tower(under(encoder, "model.")),
        vae=modern_vae(read_part(vae)) if has_vae else {},
        unet_config=read_json(folder / "unet" / "config.json"),
        tower_config=encoder_config,
        vae_config=read_json(vae / "config.json") if has_vae else None,
        note=read_note(folder),
    )


def _refuse_foreign_schedule(folder: Path) -> None:
    """Refuse a model that learned to predict something other than noise, or with another noise schedule.

    Raises:
        InputError: naming the setting.
    """
    path = folder / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        return
    config = read_json(path)
    for name, expected in _SCHEDULE.items():
        if config.get(name, expected) != expected:
            raise InputError(
                f"{path}: {name} is {config[name]!r}; give a model with {expected!r}, like Stable Diffusion v1"
            )


def _read_encoder(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
    """Read conditioner and CLIP tower (`model.*`) in diffusers' layout or in ours; nothing from Stable Diffusion's."""
    own, encoder = folder / "conditioner", folder / "image_encoder"
    if not own.is_dir() and not is_paint_by_example(folder):
        return {}, None
    tensors = read_part(encoder) if encoder.is_dir() else {}
    if own.is_dir():
        tensors = {f"model.{key}": value for key, value in tensors.items()} | read_part(own)
    return tensors, read_json(encoder / "config.json") if encoder.is_dir() else None
