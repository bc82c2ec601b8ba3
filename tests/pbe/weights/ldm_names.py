"""The other direction, for tests: a state dict under diffusers' names -> the names of the original code.

Written from the original module lists, level by level, so that it shares nothing with `pbe.weights.ldm_names`.
"""

from collections.abc import Iterator

import torch

Tensors = dict[str, torch.Tensor]

_RESNET = [
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
]
_MAPPER = [
    ("attn1.to_out.0", "attn.c_proj"),
    ("norm1", "ln_1"),
    ("norm3", "ln_2"),
    ("ff.net.0.proj", "mlp.c_fc"),
    ("ff.net.2", "mlp.c_proj"),
]


def ldm_unet(state: Tensors, *, levels: int) -> Tensors:
    renamed = {}
    for theirs, ours in _unet_modules(levels):
        for key in [key for key in state if key.startswith(f"{theirs}.")]:
            rest = key.removeprefix(f"{theirs}.")
            if ".resnets." in theirs:
                stem, _, leaf = rest.rpartition(".")
                rest = f"{dict(_RESNET)[stem]}.{leaf}"
            renamed[f"model.diffusion_model.{ours}.{rest}"] = state[key]
    assert len(renamed) == len(state)
    return renamed


def _unet_modules(levels: int) -> Iterator[tuple[str, str]]:
    yield from [
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("conv_in", "input_blocks.0.0"),
        ("conv_norm_out", "out.0"),
        ("conv_out", "out.2"),
        ("mid_block.resnets.0", "middle_block.0"),
        ("mid_block.attentions.0", "middle_block.1"),
        ("mid_block.resnets.1", "middle_block.2"),
    ]
    block = 0
    for level in range(levels):
        for layer in range(2):
            block += 1
            yield f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{block}.0"
            yield f"down_blocks.{level}.attentions.{layer}", f"input_blocks.{block}.1"
        block += 1
        yield f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{block}.0.op"
    block = -1
    for level in range(levels):
        for layer in range(3):
            block += 1
            yield f"up_blocks.{level}.resnets.{layer}", f"output_blocks.{block}.0"
            yield f"up_blocks.{level}.attentions.{layer}", f"output_blocks.{block}.1"
        slot = 1 if level == 0 else 2  # the deepest level has no attention
        yield f"up_blocks.{level}.upsamplers.0.conv", f"output_blocks.{block}.{slot}.conv"


def ldm_conditioner(state: Tensors) -> Tensors:
    renamed = {"learnable_vector": state["uncond_vector"]}
    for leaf in ("weight", "bias"):
        renamed[f"proj_out.{leaf}"] = state[f"proj_out.{leaf}"]
        renamed[f"cond_stage_model.final_ln.{leaf}"] = state[f"final_layer_norm.{leaf}"]
        for block in {key.split(".")[2] for key in state if key.startswith("mapper.")}:
            ours, theirs = f"mapper.blocks.{block}", f"cond_stage_model.mapper.resblocks.{block}"
            qkv = [state[f"{ours}.attn1.to_{x}.{leaf}"] for x in "qkv"]
            renamed[f"{theirs}.attn.c_qkv.{leaf}"] = torch.cat(qkv)
            renamed |= {f"{theirs}.{old}.{leaf}": state[f"{ours}.{new}.{leaf}"] for new, old in _MAPPER}
    return renamed


def ldm_vae(state: Tensors) -> Tensors:
    levels = len({key.split(".")[2] for key in state if key.startswith("decoder.up_blocks.")})
    renamed = {}
    for key, value in state.items():
        name = key.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
        name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        name = name.replace("downsamplers.0", "downsample").replace("upsamplers.0", "upsample")
        name = name.replace("resnets", "block").replace("down_blocks", "down")
        for level in range(levels):
            name = name.replace(f"up_blocks.{level}.", f"up.{levels - 1 - level}.")
        if "mid_block.attentions.0" in name:
            name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("to_out.0", "proj_out")
            name = name.replace("group_norm", "norm").replace("to_", "")
            value = value[:, :, None, None] if value.ndim == 2 else value
        renamed[f"first_stage_model.{name}"] = value
    return renamed
