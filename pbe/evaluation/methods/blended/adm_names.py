"""ADM names: diffusers' names of a UNet's tensors <-> those of OpenAI's guided-diffusion. Imports no torch.

A level of ADM is `layers` residual blocks, each perhaps with attention, then the block that halves or doubles the
picture. guided-diffusion counts blocks through all levels, diffusers within each.
"""

import re
from collections.abc import Callable

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_q": "qkv", "to_k": "qkv", "to_v": "qkv", "to_out.0": "proj_out"}
_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_LAYER = re.compile(r"(down|mid|up)_blocks?\.(?:(\d+)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")


def adm_name(name: str, *, layers: int, has_attention: Callable[[int], bool]) -> str:
    """Name a tensor of diffusers' UNet2DModel as ADM does; queries, keys and values have one name there.

    Args:
        name: such as `down_blocks.3.attentions.1.to_q.weight`.
        layers: residual blocks a level on the way down; there is one more on the way up.
        has_attention: whether a level on the way up, counted from the smallest picture, has attention.
    """
    module, _, kind = name.rpartition(".")
    if module in _ENDS:
        return f"{_ENDS[module]}.{kind}"
    found = _LAYER.fullmatch(module)
    assert found, name
    where, level, part, number, inner = found[1], int(found[2] or 0), found[3], int(found[4]), found[5]
    inside = ATTENTION[inner] if part == "attentions" else RESNET[inner]
    if where == "mid":
        return f"middle_block.{1 if part == 'attentions' else 2 * number}.{inside}.{kind}"
    first = level * (layers + 1)
    if where == "down":
        block = f"input_blocks.{1 + first + (layers if part == 'downsamplers' else number)}"
        return f"{block}.{int(part == 'attentions')}.{inside}.{kind}"
    block = f"output_blocks.{first + (layers if part == 'upsamplers' else number)}"
    place = {"resnets": 0, "attentions": 1, "upsamplers": 1 + has_attention(level)}[part]
    return f"{block}.{place}.{inside}.{kind}"
