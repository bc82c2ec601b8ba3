"""Checks: an edit's flags, and the configs of its model -> nothing, or the mistake by name. Imports no torch.

All of it is refused again where it is used: from Python, or where a hub's model is known only once it is fetched.
"""

import re
from pathlib import Path
from typing import Any

from pbe.editing.config import EditConfig, refuse_resolution
from pbe.weights.model_files import (
    encoder_config,
    find_weights,
    model_configs,
    read_json,
    refuse_missing_encoder,
    refuse_no_conditioner,
)
from pbe.weights.note import read_note
from pipeline.errors import InputError

SIDE_UNIT = 8  # px that diffusers' pipeline wants a picture's sides to be a multiple of
_DEVICE = re.compile(r"cpu|mps|(cuda|xpu)(:\d{1,3})?")
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/dxg", "/dev/kfd")  # NVIDIA, Jetson, WSL, AMD


def check_model(config: EditConfig) -> None:
    """Look at what the flags name of the model and its encoders, as far as it lies on this machine.

    Raises:
        InputError: something is missing, cannot be a model, or does not go with --resolution.
    """
    _check_device(config.device)
    for flag, name in (("--vae", config.vae), ("--clip", config.clip)):
        refuse_missing_encoder(flag, name)
    folder = model_configs("--model", config.model)
    if folder is None:
        return
    read_note(folder)
    refuse_no_conditioner(config.model, folder)
    for part, flag, given in (("vae", "--vae", config.vae), ("image_encoder", "--clip", config.clip)):
        if not given and find_weights(folder / part) is None:
            raise InputError(f"--model {config.model}: holds no {part} to edit with; name one with {flag}")
    factor = _factor(config, folder)
    levels = read_json(folder / "unet" / "config.json").get("block_out_channels")
    if factor and isinstance(levels, list) and levels:
        refuse_resolution(config.resolution, factor=factor, levels=len(levels))


def check_source(config: EditConfig, width: int, height: int) -> None:
    """Hold a source's size against --compat.

    Raises:
        InputError: see `refuse_odd_size`.
    """
    folder = model_configs("--model", config.model)
    if config.compat:
        refuse_odd_size(width, height, factor=_factor(config, folder) if folder else 1)


def refuse_odd_size(width: int, height: int, *, factor: int) -> None:
    """Refuse a source that diffusers' pipeline would not take.

    Raises:
        InputError: naming what its sides must be multiples of.
    """
    unit = max(SIDE_UNIT, factor)
    if height % unit or width % unit:
        raise InputError(
            f"--compat: a source of {width} x {height} px; diffusers' pipeline takes only multiples of {unit} px; "
            "resize it, or leave --compat out"
        )


def _check_device(device: str) -> None:
    if device and not _DEVICE.fullmatch(device):
        raise InputError(f"--device {device}: is not a device to edit on; give cpu, cuda or cuda:N")
    if device.startswith("cuda") and not any(Path(driver).exists() for driver in _GPU_DRIVERS):
        raise InputError(f"--device {device}: this machine has no GPU driver; give cpu")


def _factor(config: EditConfig, folder: Path) -> int:
    """Px along a latent cell's side, by the VAE's config; 0: unknown."""
    vae = encoder_config(config.vae or str(folder / "vae"), "vae") or {}
    widths: Any = vae.get("block_out_channels") or vae.get("encoder_block_out_channels")
    return 2 ** (len(widths) - 1) if isinstance(widths, list) and widths else 0
