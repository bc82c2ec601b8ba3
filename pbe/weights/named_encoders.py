"""Named encoders: --vae and --clip -> the weights of a VAE or of a CLIP vision tower."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pbe.weights.hub import fetch
from pbe.weights.model_files import find_weights, read_json
from pbe.weights.older_names import modern_vae, plain_tower
from pbe.weights.reading import Weights, read_weights
from pbe.weights.tensor_files import read_part
from pipeline.encoders.names import UNTRAINED, locate
from pipeline.encoders.untrained import untrained_clip, untrained_vae
from pipeline.errors import InputError


def read_vae(name: str) -> Weights:
    """Read a VAE alone.

    Args:
        name: a folder of a VAE or of a pipeline that has one, a hub id (`id:subfolder`), a checkpoint of the original
            code, or `untrained`.

    Raises:
        InputError: it is not there, or cannot be read safely.
    """
    if name == UNTRAINED:
        vae = untrained_vae()
        return Weights(name, vae=vae.state_dict(), vae_config=dict(vae.config))
    if Path(name).is_file():
        return Weights(name, vae=read_weights(name).vae)
    tensors, config = _read_encoder("--vae", name, part="vae")
    return Weights(name, vae=modern_vae(tensors), vae_config=config)


def read_tower(name: str) -> Weights:
    """Read a CLIP vision tower alone, from a whole CLIP, a tower, or a Paint by Example image encoder.

    Args:
        name: as for `read_vae`; in a pipeline it is called image_encoder.

    Raises:
        InputError: it is not there, or cannot be read safely.
    """
    if name == UNTRAINED:
        tower = untrained_clip()
        return Weights(name, tower=plain_tower(tower.state_dict()), tower_config=tower.config.to_dict())
    if Path(name).is_file():
        return Weights(name, tower=read_weights(name).tower)
    tensors, config = _read_encoder("--clip", name, part="image_encoder")
    inner = {key.removeprefix("model."): value for key, value in tensors.items() if key.startswith("model.")}
    return Weights(name, tower=plain_tower(inner or tensors), tower_config=config.get("vision_config", config))


def _read_encoder(flag: str, name: str, *, part: str) -> tuple[dict[str, torch.Tensor], Mapping[str, Any]]:
    folder = _fetch(flag, name, part)
    if not (folder / "config.json").exists() or find_weights(folder) is None:
        raise InputError(f"{flag} {name}: {folder} lacks config.json or weights; {_hint(part)}")
    return read_part(folder), read_json(folder / "config.json")


def _fetch(flag: str, name: str, part: str) -> Path:
    """Return the local folder of the encoder, from the hub where the name is an id."""
    place = locate(flag, name, part)
    folder, subfolder = place["pretrained_model_name_or_path"], place["subfolder"] or ""
    if Path(folder).is_dir():
        return Path(folder) / subfolder
    return fetch(folder, parts=[subfolder], hint=f"for {flag}, {_hint(part)}") / subfolder


def _hint(part: str) -> str:
    return f"give a folder or hub id (`id:subfolder`) of the model, such as a pipeline's {part}/, or `untrained`"
