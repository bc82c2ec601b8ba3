"""ADM: a checkpoint of OpenAI's guided-diffusion -> an unconditional model of pixels, on diffusers' UNet2DModel.

Dhariwal and Nichol, Diffusion Models Beat GANs on Image Synthesis, 2021. What the tensors' shapes do not tell is as in
all of OpenAI's: attention heads of 64 channels in the legacy order, norms of 32 groups, a smallest picture of 8 px.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor

from pbe.evaluation.methods.blended.adm_names import adm_name
from pipeline.encoders.building import described
from pipeline.encoders.libraries import diffusers
from pipeline.errors import InputError
from pipeline.tensors.fitting import adopt, differences_from
from pipeline.tensors.names import Tensors
from pipeline.tensors.reading import read_tensors

CHANNELS = 3
HEAD_CHANNELS, GROUPS, SMALLEST_PX = 64, 32, 8
CHECKPOINT = "256x256_diffusion_uncond.pt"
_QUERY_KEY_VALUE = re.compile(r"\.attentions\.\d+\.to_([qkv])\.")
_REMEDY = f"give OpenAI's {CHECKPOINT}, or another unconditional ADM with learned variances"


@dataclass(frozen=True)
class Adm:
    """A model of pixels.

    Args:
        unet: diffusers' UNet2DModel, frozen.
        size: px along a side of the pictures that it was trained on.
    """

    unet: Any
    size: int

    def __call__(self, noisy: torch.Tensor, timestep: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict the noise, and where between its bounds the log variance lies, -1..1: [b, 3, s, s] float32 each."""
        predicted = self.unet(noisy.to(self.unet.dtype), timestep).sample.float()
        noise, between = predicted.chunk(2, dim=1)
        return noise, between


def load_adm(path: str, *, device: str, dtype: str) -> Adm:
    """Load a checkpoint.

    Args:
        path: a file that torch.save wrote, or .safetensors.
        dtype: float32, float16 or bfloat16.

    Raises:
        InputError: it is missing, damaged, or not an unconditional ADM.
    """
    unet = build_unet(read_tensors(Path(path)), path)
    for module in unet.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor())  # others add up gradients in an order that changes from run to run
    return Adm(unet.to(device=device, dtype=getattr(torch, dtype)), int(unet.config.sample_size))


def build_unet(tensors: Tensors, what: str) -> Any:
    """Build the UNet2DModel of a checkpoint, frozen, in the precision of its tensors.

    Args:
        what: names the checkpoint in errors.

    Raises:
        InputError: see `sketch_unet`; or it holds numbers that are not finite.
    """
    unet, state = sketch_unet(tensors, what)
    adopt(unet, state, what)
    return unet.requires_grad_(False)


def sketch_unet(tensors: Tensors, what: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """Make the UNet2DModel of a checkpoint without storage, and the checkpoint's tensors under its names.

    Raises:
        InputError: the checkpoint lacks tensors, has others, or of other shapes.
    """
    config = read_config(tensors, what)
    with described(what), torch.device("meta"):
        unet = diffusers.UNet2DModel(**config).eval()
    sketched = unet.state_dict()
    names = {name: _adm_name(name, config) for name in sketched}
    faults = differences_from({names[name]: _as_adm(name, tensor) for name, tensor in sketched.items()}, tensors)
    if faults:
        raise InputError(f"{what} is not an unconditional ADM: {'; '.join(faults)}; {_REMEDY}")
    return unet, {name: _as_ours(name, tensors[other]) for name, other in names.items()}


def read_config(tensors: Tensors, what: str) -> dict[str, Any]:
    """Tell the config of diffusers' UNet2DModel by the names and shapes of a checkpoint's tensors.

    Raises:
        InputError: its blocks are not those of an ADM whose residual blocks change the picture's size.
    """
    inputs, outputs = (_count(tensors, rf"{part}_blocks\.(\d+)\.") for part in ("input", "output"))
    levels = 1 + _count(tensors, r"output_blocks\.(\d+)\.[12]\.in_layers\.0\.weight")
    if not outputs or inputs != outputs or outputs % levels:
        raise InputError(
            f"{what} is not an ADM's UNet: {inputs} input and {outputs} output blocks on {levels} levels; {_REMEDY}"
        )
    per_level = outputs // levels
    firsts = [f"input_blocks.{1 + level * per_level}" for level in range(levels)]
    widths = [_width(tensors, f"{first}.0.in_layers.2.weight", what) for first in firsts]
    attention = [f"{first}.1.qkv.weight" in tensors for first in firsts]
    attending = [*(width for width, has in zip(widths, attention, strict=True) if has), widths[-1]]  # and the middle
    for width in attending:
        if not width or width % HEAD_CHANNELS:
            raise InputError(f"{what}: attention on {width} channels, not on heads of {HEAD_CHANNELS}; {_REMEDY}")
    return {
        "sample_size": SMALLEST_PX * 2 ** (levels - 1),
        "in_channels": CHANNELS,
        "out_channels": 2 * CHANNELS,
        "layers_per_block": per_level - 1,
        "block_out_channels": tuple(widths),
        "down_block_types": tuple("AttnDownBlock2D" if has else "ResnetDownsampleBlock2D" for has in attention),
        "up_block_types": tuple("AttnUpBlock2D" if has else "ResnetUpsampleBlock2D" for has in attention[::-1]),
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "resnet_time_scale_shift": "scale_shift",
        "attention_head_dim": HEAD_CHANNELS,
        "norm_num_groups": GROUPS,
        "attn_norm_num_groups": GROUPS,  # without it the middle attention has no norm
    }


def _count(tensors: Tensors, pattern: str) -> int:
    """Count the different numbers that a pattern finds in the tensors' names."""
    return len({found[1] for name in tensors if (found := re.match(pattern, name))})


def _width(tensors: Tensors, name: str, what: str) -> int:
    if name not in tensors or not tensors[name].ndim:
        raise InputError(f"{what} is not an ADM's UNet: it has no {name}; {_REMEDY}")
    return len(tensors[name])


def _adm_name(name: str, config: dict[str, Any]) -> str:
    ups = config["up_block_types"]
    return adm_name(name, layers=config["layers_per_block"], has_attention=lambda level: ups[level].startswith("Attn"))


def _as_adm(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Give a tensor of ours the shape that ADM's has, which holds queries, keys and values, as 1D convolutions."""
    if ".attentions." not in name or ".group_norm." in name:
        return tensor
    shape = list(tensor.shape)
    if _QUERY_KEY_VALUE.search(name):
        shape[0] *= 3
    return tensor.new_empty([*shape, 1] if name.endswith(".weight") else shape)


def _as_ours(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Cut ours out of a tensor of ADM's, whose rows go head by head: first the queries, then keys, then values."""
    if ".attentions." not in name or ".group_norm." in name:
        return tensor
    rows = tensor.squeeze(-1) if name.endswith(".weight") else tensor
    found = _QUERY_KEY_VALUE.search(name)
    if not found:
        return rows
    heads = rows.reshape(-1, 3, HEAD_CHANNELS, *rows.shape[1:])
    return heads[:, "qkv".index(found[1])].flatten(0, 1)
