"""LDM export: a model under diffusers' names -> one .ckpt under the names of the original code, which loads it."""

import re
from pathlib import Path

import torch

from pbe.weights.ldm_reading import LAYERS, MAPPER, RESNET, UNET_ENDS, VAE_ATTENTION, Tensors
from pbe.weights.reading import plain_tower
from pipeline.storage.whole_files import file_aside

_ENDS = {theirs: ours for ours, theirs in UNET_ENDS.items()}
_RESNET = {theirs: ours for ours, theirs in RESNET.items()}
_MAPPER = {theirs: ours for ours, theirs in MAPPER.items()}
_VAE_ATTENTION = {theirs: ours for ours, theirs in VAE_ATTENTION.items()}
_SLOTS = {"resnets": 0, "attentions": 1}


def write_checkpoint(path: Path, state: Tensors, *, vae: Tensors, tower: Tensors, step: int | None) -> None:
    """Write the .ckpt, aside first: plain tensors, in the precision that they have.

    Args:
        state: of a PaintByExample, names `unet.*` and `conditioner.*`.
        vae, tower: state dicts of its AutoencoderKL and its CLIPVisionModel.
        step: optimiser steps behind the model; None: unknown.
    """
    tensors = {
        **unet_to_ldm(_under(state, "unet.")),
        **conditioner_to_ldm(_under(state, "conditioner.")),
        **tower_to_ldm(tower),
        **vae_to_ldm(vae),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {key: value.detach().cpu() for key, value in tensors.items()}
    with file_aside(path) as aside:
        torch.save({"state_dict": whole, "global_step": step or 0}, aside)


def unet_to_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Rename the UNet's tensors."""
    return {f"model.diffusion_model.{_unet_name(key)}": value for key, value in state.items()}


def conditioner_to_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Rename the conditioner's tensors; queries, keys and values of a mapper block are stacked."""
    renamed = {}
    for key, value in state.items():
        stem, _, leaf = key.rpartition(".")
        if match := re.fullmatch(r"mapper\.blocks\.(\d+)\.(.+)", stem):
            block = f"cond_stage_model.mapper.resblocks.{match[1]}"
            if match[2] in _MAPPER:
                renamed[f"{block}.{_MAPPER[match[2]]}.{leaf}"] = value
            elif match[2] == "attn1.to_q":
                qkv = [state[f"mapper.blocks.{match[1]}.attn1.to_{name}.{leaf}"] for name in "qkv"]
                renamed[f"{block}.attn.c_qkv.{leaf}"] = torch.cat(qkv)
        elif key == "uncond_vector":
            renamed["learnable_vector"] = value
        else:
            renamed[key.replace("final_layer_norm.", "cond_stage_model.final_ln.")] = value
    return renamed


def tower_to_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Rename the CLIP vision tower's tensors, and add the counter that transformers kept among them in 2022."""
    prefix, plain = "cond_stage_model.transformer.vision_model.", plain_tower(state)
    positions = plain["embeddings.position_embedding.weight"].shape[0]
    counter = {f"{prefix}embeddings.position_ids": torch.arange(positions)[None]}
    return counter | {f"{prefix}{key}": value for key, value in plain.items()}


def vae_to_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Rename the VAE's tensors; attention's linear layers [o, i] become 1x1 convolutions [o, i, 1, 1]."""
    levels = len({key.split(".")[2] for key in state if key.startswith("decoder.up_blocks.")})
    renamed = {}
    for key, value in state.items():
        linear = ".mid_block.attentions." in key and value.ndim == 2
        renamed[f"first_stage_model.{_vae_name(key, levels)}"] = value[:, :, None, None] if linear else value
    return renamed


def _unet_name(key: str) -> str:
    stem, _, leaf = key.rpartition(".")
    if stem in _ENDS:
        return f"{_ENDS[stem]}.{leaf}"
    if match := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", key):
        return f"middle_block.{2 * int(match[2]) + _SLOTS[match[1]]}.{_resnet_name(match[3])}"
    side, level, part, layer, rest = key.split(".", 4)
    block = int(level) * (LAYERS + 1)  # of the way down this counts from 1, on the way up from 0
    if part == "downsamplers":
        return f"input_blocks.{block + LAYERS + 1}.0.op.{leaf}"
    if part == "upsamplers":
        slot = 1 if level == "0" else 2  # the deepest level has no attention before it
        return f"output_blocks.{block + LAYERS}.{slot}.{rest}"
    blocks, first = ("input_blocks", 1) if side == "down_blocks" else ("output_blocks", 0)
    return f"{blocks}.{first + block + int(layer)}.{_SLOTS[part]}.{_resnet_name(rest)}"


def _resnet_name(rest: str) -> str:
    """Rename inside a residual block; inside attention the names are the same."""
    stem, _, leaf = rest.rpartition(".")
    return f"{_RESNET[stem]}.{leaf}" if stem in _RESNET else rest


def _vae_name(key: str, levels: int) -> str:
    side, _, rest = key.partition(".")
    rest = rest.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
    if match := re.fullmatch(r"mid_block\.resnets\.([01])\.(.+)", rest):
        rest = f"mid.block_{int(match[1]) + 1}.{match[2]}"
    elif match := re.fullmatch(r"mid_block\.attentions\.0\.(.+)\.(weight|bias)", rest):
        rest = f"mid.attn_1.{_VAE_ATTENTION[match[1]]}.{match[2]}"
    elif match := re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets\.|(?:down|up)samplers\.0\.)(.+)", rest):
        level = int(match[2]) if match[1] == "down" else levels - 1 - int(match[2])
        part = "block." if match[3] == "resnets." else f"{match[1]}sample."
        rest = f"{match[1]}.{level}.{part}{match[4]}"
    return f"{side}.{rest}"


def _under(state: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
