"""Checks: an edit's flags, and the configs of its model -> nothing, or the mistake by name. Imports no torch.

All of it is refused again where it is used, for those who edit from Python and for checkpoints, which have no config.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pbe.editing.config import EditConfig, refuse_resolution
from pbe.weights.averages import check_choice
from pbe.weights.hub import find_configs
from pbe.weights.model_files import encoder_config, read_json, refuse_missing_network
from pbe.weights.own_note import read_prediction, refuse_no_conditioner
from pipeline.encoders.facts import EFFICIENTNET_PCA, PATCH_PCA, latent_factor
from pipeline.errors import InputError

SIDE_UNIT = 8  # px that diffusers' pipeline wants a picture's sides to be a multiple of
_DEVICE = re.compile(r"cpu|mps|(cuda|xpu)(:\d{1,3})?")
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/dxg", "/dev/kfd")  # NVIDIA, Jetson, WSL, AMD


def check_model(config: EditConfig) -> int:
    """Look at the configs of the model and its encoders, here or on the hub.

    Returns:
        px along a latent cell's side; 0: unknown until the weights are read.

    Raises:
        InputError: something is missing, cannot be a model, or does not go with --resolution.
    """
    _check_device(config.device)
    folder = find_configs("--model", config.model)
    vae = encoder_config("--vae", config.vae, "vae")
    exemplars = encoder_config("--exemplar-encoder", config.clip, "image_encoder")
    if folder is None:
        _refuse_foreign(config, vae, exemplars)
        refuse_missing_network(exemplars or {})
        return _factor(vae)
    read_prediction(folder)
    refuse_no_conditioner(config.model, folder)
    check_choice(config.model, folder, config.weights)
    for part, flag, given in (("vae", "--vae", config.vae), ("image_encoder", "--exemplar-encoder", config.clip)):
        if not given and not (folder / part / "config.json").is_file():
            raise InputError(f"--model {config.model}: holds no {part} to edit with; name one with {flag}")
    vae = vae if config.vae else read_json(folder / "vae" / "config.json")
    exemplars = exemplars if config.clip else read_json(folder / "image_encoder" / "config.json")
    _refuse_foreign(config, vae, exemplars)
    refuse_missing_network(exemplars or {})
    factor = _factor(vae)
    levels = read_json(folder / "unet" / "config.json").get("block_out_channels")
    if factor and isinstance(levels, list) and levels:
        refuse_resolution(config.resolution, factor=factor, levels=len(levels))
    return factor


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


def has_gpu_driver() -> bool:
    """Whether this machine has the driver of a GPU; known without torch."""
    return any(Path(driver).exists() for driver in _GPU_DRIVERS)


def _check_device(device: str) -> None:
    if device and not _DEVICE.fullmatch(device):
        raise InputError(f"--device {device}: is not a device to edit on; give cpu, cuda or cuda:N")
    if device.startswith("cuda") and not has_gpu_driver():
        raise InputError(f"--device {device}: this machine has no GPU driver; give cpu")


def _refuse_foreign(config: EditConfig, vae: Mapping[str, Any] | None, exemplars: Mapping[str, Any] | None) -> None:
    """Refuse --compat with an encoder that diffusers' pipeline does not have.

    Raises:
        InputError: naming its kind.
    """
    for kind in ((vae or {}).get("_class_name"), (exemplars or {}).get("model_type")):
        if config.compat and kind in (PATCH_PCA, EFFICIENTNET_PCA):
            raise InputError(f"--compat: diffusers' pipeline has no encoder of the kind {kind}; leave --compat out")


def _factor(vae: Mapping[str, Any] | None) -> int:
    """Px along a latent cell's side; 0: there is no config yet, or a damaged one, which is refused when it is built."""
    listed = ("block_out_channels", "encoder_block_out_channels")
    return latent_factor(vae) if vae and all(isinstance(vae.get(name, []), list) for name in listed) else 0
