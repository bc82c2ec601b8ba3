"""Older names: tensors as any version of transformers or diffusers saved them -> the names that are used here."""

import re
from collections.abc import Mapping

import torch

_OLD_VAE_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # diffusers < 0.16


def plain_tower(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take the vision tower out of a CLIP's tensors, whatever version of transformers saved it, alone or with the rest.

    Names lose the prefix `vision_model.`, and the counter `position_ids` goes.
    """
    prefix = "vision_model."
    if any(key.startswith(prefix) for key in tensors):  # text tower and projections have other prefixes
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return {key: value for key, value in tensors.items() if not key.endswith("position_ids")}


def modern_vae(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give a VAE's attention its present names in diffusers; published VAEs have `query` where it is `to_q` now."""
    old = re.compile(rf"(attentions\.\d+)\.({'|'.join(_OLD_VAE_ATTENTION)})\.")
    return {old.sub(lambda m: f"{m[1]}.{_OLD_VAE_ATTENTION[m[2]]}.", key): value for key, value in tensors.items()}
