"""LDM: tensors under the names of Stable Diffusion v1's original code -> the same under diffusers' names.

Covers UNet and VAE of Stable Diffusion v1, and the conditioner and CLIP tower of the official Paint by Example.
`pbe.weights.ldm_writing` is the way back.
"""

import re
from collections.abc import Callable, Mapping

import torch

Tensors = Mapping[str, torch.Tensor]

LAYERS = 2  # residual blocks a level, as in every Stable Diffusion v1
UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
MAPPER = {
    "attn.c_proj": "attn1.to_out.0",
    "ln_1": "norm1",
    "ln_2": "norm3",
    "mlp.c_fc": "ff.net.0.proj",
    "mlp.c_proj": "ff.net.2",
}
VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def is_ldm(state: Tensors) -> bool:
    """Tell whether the names are those of the original code."""
    return any(key.startswith("model.diffusion_model.") for key in state)


def unet_from_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Rename the UNet's tensors.

    Raises:
        ValueError: a tensor has no place in a UNet of Stable Diffusion v1.
    """
    return _renamed(_under(state, "model.diffusion_model."), _unet_name)


def conditioner_from_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Rename the conditioner's tensors; empty where the file holds none, as Stable Diffusion's.

    Raises:
        ValueError: a tensor has no place in a conditioner.
    """
    if "learnable_vector" not in state:
        return {}
    renamed = {"uncond_vector": state["learnable_vector"]}
    renamed |= {f"proj_out.{key}": value for key, value in _under(state, "proj_out.").items()}
    renamed |= {f"final_layer_norm.{key}": value for key, value in _under(state, "cond_stage_model.final_ln.").items()}
    for key, value in _under(state, "cond_stage_model.mapper.resblocks.").items():
        renamed |= _mapper_tensors(key, value)
    return renamed


def tower_from_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Give the CLIP vision tower's tensors, names without `vision_model.`; empty where there is none."""
    return dict(_under(state, "cond_stage_model.transformer.vision_model."))


def vae_from_ldm(state: Tensors) -> dict[str, torch.Tensor]:
    """Rename the VAE's tensors; empty where the file holds none.

    Raises:
        ValueError: a tensor has no place in a VAE of Stable Diffusion v1.
    """
    inner = {key: value for key, value in _under(state, "first_stage_model.").items() if not key.startswith("loss.")}
    levels = len({key.split(".")[2] for key in inner if key.startswith("decoder.up.")})
    renamed = _renamed(inner, lambda key: _vae_name(key, levels))
    return {key: _flat(value) if ".mid_block.attentions." in key else value for key, value in renamed.items()}


def _under(state: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _renamed(state: Tensors, rename: Callable[[str], str]) -> dict[str, torch.Tensor]:
    return {rename(key): value for key, value in state.items()}


def _unet_name(key: str) -> str:
    stem, _, leaf = key.rpartition(".")
    if stem in UNET_ENDS:
        return f"{UNET_ENDS[stem]}.{leaf}"
    if match := re.fullmatch(r"middle_block\.([012])\.(.+)", key):
        return f"mid_block.{_MIDDLE[match[1]]}.{_resnet_name(match[2])}"
    if match := re.fullmatch(r"input_blocks\.(\d+)\.([01])\.(.+)", key):
        return _down_name(int(match[1]) - 1, match[2], match[3])
    if match := re.fullmatch(r"output_blocks\.(\d+)\.([012])\.(.+)", key):
        return _up_name(int(match[1]), match[2], match[3])
    raise ValueError(f"{key} has no place in a UNet of Stable Diffusion v1")


def _down_name(index: int, slot: str, rest: str) -> str:
    """Place block `index` of the way down: a level is its residual blocks, then the step to the next level."""
    level, layer = divmod(index, LAYERS + 1)
    if rest.startswith("op."):
        return f"down_blocks.{level}.downsamplers.0.conv.{rest.removeprefix('op.')}"
    part = "resnets" if slot == "0" else "attentions"
    return f"down_blocks.{level}.{part}.{layer}.{_resnet_name(rest)}"


def _up_name(index: int, slot: str, rest: str) -> str:
    """Place block `index` of the way up: a level has one residual block more; its last one ends with the step up."""
    level, layer = divmod(index, LAYERS + 1)
    if rest.startswith("conv."):
        return f"up_blocks.{level}.upsamplers.0.{rest}"
    part = "resnets" if slot == "0" else "attentions"
    return f"up_blocks.{level}.{part}.{layer}.{_resnet_name(rest)}"


def _resnet_name(rest: str) -> str:
    """Rename inside a residual block; inside attention the names are the same."""
    stem, _, leaf = rest.rpartition(".")
    return f"{RESNET[stem]}.{leaf}" if stem in RESNET else rest


def _mapper_tensors(key: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    """Rename one tensor of a mapper block, `0.attn.c_qkv.weight` and the like; queries, keys, values come stacked."""
    block, _, rest = key.partition(".")
    stem, _, leaf = rest.rpartition(".")
    if stem == "attn.c_qkv":
        if not value.ndim or len(value) % 3:
            raise ValueError(f"{key} of shape {list(value.shape)} does not hold queries, keys and values")
        thirds = zip("qkv", value.chunk(3), strict=True)
        return {f"mapper.blocks.{block}.attn1.to_{name}.{leaf}": third for name, third in thirds}
    if stem not in MAPPER:
        raise ValueError(f"{key} has no place in the mapper of Paint by Example")
    return {f"mapper.blocks.{block}.{MAPPER[stem]}.{leaf}": value}


def _vae_name(key: str, levels: int) -> str:
    if re.fullmatch(r"(quant_conv|post_quant_conv|(en|de)coder\.conv_(in|out))\.(weight|bias)", key):
        return key
    side, _, rest = key.partition(".")
    rest = rest.replace("nin_shortcut", "conv_shortcut")
    if match := re.fullmatch(r"norm_out\.(.+)", rest):
        return f"{side}.conv_norm_out.{match[1]}"
    if match := re.fullmatch(r"mid\.block_([12])\.(.+)", rest):
        return f"{side}.mid_block.resnets.{int(match[1]) - 1}.{match[2]}"
    if match := re.fullmatch(r"mid\.attn_1\.(norm|q|k|v|proj_out)\.(.+)", rest):
        return f"{side}.mid_block.attentions.0.{VAE_ATTENTION[match[1]]}.{match[2]}"
    if match := re.fullmatch(r"down\.(\d+)\.(block|downsample)\.(.+)", rest):
        part = "resnets." if match[2] == "block" else "downsamplers.0."
        return f"{side}.down_blocks.{match[1]}.{part}{match[3]}"
    if match := re.fullmatch(r"up\.(\d+)\.(block|upsample)\.(.+)", rest):
        part = "resnets." if match[2] == "block" else "upsamplers.0."
        return f"{side}.up_blocks.{levels - 1 - int(match[1])}.{part}{match[3]}"
    raise ValueError(f"{key} has no place in a VAE of Stable Diffusion v1")


def _flat(value: torch.Tensor) -> torch.Tensor:
    """Turn a 1x1 convolution's weight [o, i, 1, 1] into a linear layer's [o, i]."""
    return value.flatten(1) if value.shape[2:] == (1, 1) else value
