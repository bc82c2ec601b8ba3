"""Named encoders: --vae and --exemplar-encoder -> the encoders; without a name, the ones in a model's weights.

Folders and hub ids are read as for datasets, but stay in their own precision; a checkpoint is read here alone.
"""

from pathlib import Path
from typing import Any

from pbe.weights.building import build_tower, build_vae
from pbe.weights.reading import Weights, read_weights
from pipeline.encoders.names import NONE, UNTRAINED, placed
from pipeline.encoders.reading import read_tower, read_vae
from pipeline.encoders.untrained import untrained_clip, untrained_vae
from pipeline.tensors.names import plain_tower


def choose_vae(weights: Weights, name: str) -> Any | None:
    """Build the VAE that --vae names; empty: the one in the weights; `none`: none.

    Args:
        name: also a folder of a VAE or of a pipeline that has one, a hub id (`id:subfolder`), a checkpoint of the
            original code, `shipped` or `untrained`.

    Raises:
        InputError: it is missing, or cannot be read safely.
    """
    return None if name == NONE else build_vae(_read_vae(name) if name else weights)


def choose_tower(weights: Weights, name: str) -> Any | None:
    """Build the exemplar encoder that --exemplar-encoder names, likewise.

    Args:
        name: also a folder of a complete CLIP or of Paint by Example's image encoder, which both hold a tower.
    """
    return None if name == NONE else build_tower(_read_tower(name) if name else weights)


def _read_vae(name: str) -> Weights:
    if name == UNTRAINED:
        vae = untrained_vae()
        return Weights(name, vae=vae.state_dict(), vae_config=dict(vae.config))
    if Path(placed(name)).is_file():
        return Weights(name, vae=read_weights(name).vae)
    read = read_vae(name)
    return Weights(name, vae=read.tensors, vae_config=read.config)


def _read_tower(name: str) -> Weights:
    if name == UNTRAINED:
        tower = untrained_clip()
        return Weights(name, tower=plain_tower(tower.state_dict()), tower_config=tower.config.to_dict())
    if Path(placed(name)).is_file():
        return Weights(name, tower=read_weights(name).tower)
    read = read_tower(name)
    return Weights(name, tower=read.tensors, tower_config=read.config.get("vision_config", read.config))
