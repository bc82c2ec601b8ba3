"""Names of the original code: each part's modules -> pairs of the name there and in diffusers; a name <-> the other.

Covers UNet and VAE of Stable Diffusion v1, and the conditioner of the official Paint by Example. Each list follows the
original code as it builds its modules, level by level. Reading looks names up in it, writing in its inverse.
"""

from collections.abc import Iterable, Iterator, Mapping

Pairs = Iterator[tuple[str, str]]

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
TOWER_PREFIX = "cond_stage_model.transformer.vision_model."
MAPPER_PREFIX = "cond_stage_model.mapper.resblocks."
CONDITIONER_PREFIXES = ("learnable_vector", "proj_out.", "cond_stage_model.final_ln.", MAPPER_PREFIX)

_LAYERS = 2  # residual blocks a level on the way down, as in every Stable Diffusion v1; one more on the way up
_MOST_LEVELS = 8  # more than any model has; but for the VAE's decoder, names do not depend on how many there are
_MOST_DOTS = 8  # in the name of a module
_UNET_ENDS = (
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("input_blocks.0.0", "conv_in"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
)
_UNET_RESNET = (
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
)
_MAPPER_BLOCK = (
    ("attn.c_q", "attn1.to_q"),  # these three are one tensor in the original code, `c_qkv`
    ("attn.c_k", "attn1.to_k"),
    ("attn.c_v", "attn1.to_v"),
    ("attn.c_proj", "attn1.to_out.0"),
    ("ln_1", "norm1"),
    ("ln_2", "norm3"),
    ("mlp.c_fc", "ff.net.0.proj"),
    ("mlp.c_proj", "ff.net.2"),
)
_VAE_SIDE = (
    ("conv_in", "conv_in"),
    ("mid.block_1", "mid_block.resnets.0"),
    ("mid.attn_1.norm", "mid_block.attentions.0.group_norm"),
    ("mid.attn_1.q", "mid_block.attentions.0.to_q"),
    ("mid.attn_1.k", "mid_block.attentions.0.to_k"),
    ("mid.attn_1.v", "mid_block.attentions.0.to_v"),
    ("mid.attn_1.proj_out", "mid_block.attentions.0.to_out.0"),
    ("mid.block_2", "mid_block.resnets.1"),
    ("norm_out", "conv_norm_out"),
    ("conv_out", "conv_out"),
)


def inverted(pairs: Pairs) -> dict[str, str]:
    """Return the table that leads from diffusers' names to the original ones."""
    return {diffusers: original for original, diffusers in pairs}


def rename(key: str, names: Mapping[str, str], model: str) -> str:
    """Replace the longest module name of a table that the key starts with; below it both codes use the same names.

    Raises:
        ValueError: the table has none.
    """
    parts = key.split(".", _MOST_DOTS)
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if module in names:
            return names[module] + key.removeprefix(module)
    raise ValueError(f"{key} has no place in {model}")


def unet_pairs() -> Pairs:
    """List its modules: residual blocks layer by layer; attention blocks, whose inner names agree, as one."""
    for pair in _unet_modules():
        yield f"{UNET_PREFIX}{pair[0]}", pair[1]


def _unet_modules() -> Pairs:
    yield from _UNET_ENDS
    yield from _inside("middle_block.0", "mid_block.resnets.0", _UNET_RESNET)
    yield "middle_block.1", "mid_block.attentions.0"
    yield from _inside("middle_block.2", "mid_block.resnets.1", _UNET_RESNET)
    for level in range(_MOST_LEVELS):
        # The way down: the original counts blocks through all levels, block 0 being the first convolution. A level is
        # its layers, then the step to the next level.
        block, name = 1 + level * (_LAYERS + 1), f"down_blocks.{level}"
        for layer in range(_LAYERS):
            yield from _inside(f"input_blocks.{block + layer}.0", f"{name}.resnets.{layer}", _UNET_RESNET)
            yield f"input_blocks.{block + layer}.1", f"{name}.attentions.{layer}"
        yield f"input_blocks.{block + _LAYERS}.0.op", f"{name}.downsamplers.0.conv"
        # The way up, the deepest level first, which has no attention. The last layer's block ends with the step up.
        block, name = level * (_LAYERS + 1), f"up_blocks.{level}"
        for layer in range(_LAYERS + 1):
            yield from _inside(f"output_blocks.{block + layer}.0", f"{name}.resnets.{layer}", _UNET_RESNET)
            if level > 0:
                yield f"output_blocks.{block + layer}.1", f"{name}.attentions.{layer}"
        yield f"output_blocks.{block + _LAYERS}.{2 if level > 0 else 1}.conv", f"{name}.upsamplers.0.conv"


def conditioner_pairs(blocks: Iterable[str]) -> Pairs:
    """List the conditioner's modules, the mapper's blocks having these numbers."""
    yield "learnable_vector", "uncond_vector"
    yield "proj_out", "proj_out"
    yield "cond_stage_model.final_ln", "final_layer_norm"
    for block in blocks:
        yield from _inside(f"{MAPPER_PREFIX}{block}", f"mapper.blocks.{block}", _MAPPER_BLOCK)


def vae_pairs(levels: int) -> Pairs:
    """List the VAE's modules; `levels` of its decoder."""
    for name in ("quant_conv", "post_quant_conv"):
        yield f"{VAE_PREFIX}{name}", name
    for side in ("encoder", "decoder"):
        yield from _inside(f"{VAE_PREFIX}{side}", side, _VAE_SIDE)
    for level in range(_MOST_LEVELS):
        yield from _vae_level(f"encoder.down.{level}", f"encoder.down_blocks.{level}", "down")
    for level in range(min(levels, _MOST_LEVELS)):  # the original counts from the finest, diffusers from the deepest
        yield from _vae_level(f"decoder.up.{levels - 1 - level}", f"decoder.up_blocks.{level}", "up")


def _vae_level(original: str, diffusers: str, way: str) -> Pairs:
    for layer in range(_LAYERS + 1):
        block, resnet = f"{VAE_PREFIX}{original}.block.{layer}", f"{diffusers}.resnets.{layer}"
        yield block, resnet
        yield f"{block}.nin_shortcut", f"{resnet}.conv_shortcut"
    yield f"{VAE_PREFIX}{original}.{way}sample", f"{diffusers}.{way}samplers.0"


def _inside(original: str, diffusers: str, pairs: Iterable[tuple[str, str]]) -> Pairs:
    for inner, inner_diffusers in pairs:
        yield f"{original}.{inner}", f"{diffusers}.{inner_diffusers}"
