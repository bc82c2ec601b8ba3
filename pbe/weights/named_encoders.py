"""Named encoders: --vae and --clip -> a VAE or CLIP vision tower; without a name, the one in a model's weights.

Editing and conversion take any file that holds an encoder, in its own precision. For datasets, `pipeline.encoders`
loads the same names through diffusers and transformers, since fingerprints hash what these make of the files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pbe.weights.building import build_tower, build_vae
from pbe.weights.hub import fetch
from pbe.weights.model_files import find_weights, read_json
from pbe.weights.reading import Weights, read_weights
from pbe.weights.tensor_files import read_part
from pbe.weights.tensor_names import Tensors, modern_vae, plain_tower, under
from pipeline.encoders.names import NONE, UNTRAINED, locate
from pipeline.encoders.untrained import untrained_clip, untrained_vae
from pipeline.errors import InputError


def choose_vae(weights: Weights, name: str) -> Any | None:
    """Build the VAE that --vae names; empty: the one in the weights; `none`: none.

    Args:
        name: also a folder of a VAE or of a pipeline that has one, a hub id (`id:subfolder`), a checkpoint of the
            original code, or `untrained`.

    Raises:
        InputError: it is missing, or cannot be read safely.
    """
    return None if name == NONE else build_vae(_read_vae(name) if name else weights)


def choose_tower(weights: Weights, name: str) -> Any | None:
    """Build the CLIP vision tower that --clip names, likewise.

    Args:
        name: also a folder of a complete CLIP or of Paint by Example's image encoder, which both hold a tower.
    """
    return None if name == NONE else build_tower(_read_tower(name) if name else weights)


def _read_vae(name: str) -> Weights:
    if name == UNTRAINED:
        vae = untrained_vae()
        return Weights(name, vae=vae.state_dict(), vae_config=dict(vae.config))
    if Path(name).is_file():
        return Weights(name, vae=read_weights(name).vae)
    tensors, config = _read_encoder("--vae", name, part="vae")
    return Weights(name, vae=modern_vae(tensors), vae_config=config)


def _read_tower(name: str) -> Weights:
    if name == UNTRAINED:
        tower = untrained_clip()
        return Weights(name, tower=plain_tower(tower.state_dict()), tower_config=tower.config.to_dict())
    if Path(name).is_file():
        return Weights(name, tower=read_weights(name).tower)
    tensors, config = _read_encoder("--clip", name, part="image_encoder")
    inner = under(tensors, "model.") or tensors  # Paint by Example's encoder holds the tower beside the mapper
    return Weights(name, tower=plain_tower(inner), tower_config=config.get("vision_config", config))


def _read_encoder(flag: str, name: str, *, part: str) -> tuple[Tensors, Mapping[str, Any]]:
    folder = _fetch(flag, name, part)
    if not (folder / "config.json").exists() or find_weights(folder) is None:
        raise InputError(f"{flag} {name}: {folder} lacks config.json or weights; {_hint(part)}")
    return read_part(folder), read_json(folder / "config.json")


def _fetch(flag: str, name: str, part: str) -> Path:
    """Return the local folder of the encoder, from the hub where the name is an id."""
    root, subfolder = locate(flag, name, part)
    if Path(root).is_dir():
        return Path(root) / subfolder
    return fetch(root, parts=[subfolder], hint=f"for {flag}, {_hint(part)}") / subfolder


def _hint(part: str) -> str:
    return f"give a folder or hub id (`id:subfolder`) of the model, such as a pipeline's {part}/, or `untrained`"
