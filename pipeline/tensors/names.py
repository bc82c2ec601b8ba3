"""Names: a state dict, as any version of the libraries saved it -> a part of it, under the names used here."""

import re
from collections.abc import Mapping

import torch

Tensors = Mapping[str, torch.Tensor]

_OLD_VAE_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # diffusers < 0.16


def under(tensors: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    """Take the tensors whose names start with the prefix, and leave it out."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def plain_tower(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Take the vision tower out of a CLIP's tensors, whatever version of transformers saved it, alone or with the rest.

    Names lose the prefix `vision_model.`, and the buffer `position_ids`, which newer versions do not save, goes.
    """
    tower = under(tensors, "vision_model.") or tensors  # a complete CLIP names its other tensors differently
    return {key: value for key, value in tower.items() if not key.endswith("position_ids")}


def modern_vae(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Rename a VAE's attention as diffusers does today; published VAEs have `query` for `to_q`, and so on."""
    old = re.compile(rf"(attentions\.\d+)\.({'|'.join(_OLD_VAE_ATTENTION)})\.")
    return {old.sub(lambda m: f"{m[1]}.{_OLD_VAE_ATTENTION[m[2]]}.", key): value for key, value in tensors.items()}
