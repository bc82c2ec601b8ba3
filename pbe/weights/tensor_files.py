"""Tensor files: a part of a model, a folder of weights and config <-> tensors by name. Unpickles nothing else."""

import errno
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save_file

from pbe.weights.pickles import load_pickled_tensors
from pipeline.errors import InputError

FORMS = (
    "give a diffusers folder or hub id of Stable Diffusion v1 or Paint by Example, a .ckpt of the original code, "
    "or a folder written by this project"
)
STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
_PICKLED = (".ckpt", ".pt", ".pth", ".bin")
_VARIANTS = ("", ".fp16")  # the whole file first


def read_part(folder: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of one part of a pipeline's folder, such as `unet/`.

    Raises:
        InputError: it has no weights, or they cannot be read safely.
    """
    path = find_weights(folder)
    if path is None:
        raise InputError(f"{folder}: has no weights, such as {STEMS[0]}.safetensors or {STEMS[2]}.bin; {FORMS}")
    return read_tensors(path)


def find_weights(folder: Path) -> Path | None:
    """Find a part's weights: safetensors before pickles, a half-precision variant only where it is all there is."""
    endings = [f"{variant}{suffix}" for variant in _VARIANTS for suffix in (".safetensors", ".bin")]
    names = [f"{stem}{ending}" for ending in endings for stem in STEMS]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file, in the precision that they were saved in.

    Raises:
        InputError: it is damaged, of another kind, or wants more than tensors.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(path)  # type: ignore[no-any-return]
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"{path}: is no whole safetensors file ({error}); copy it again") from error
    if path.suffix in _PICKLED:
        return load_pickled_tensors(path)
    raise InputError(f"{path}: ends neither in .safetensors nor in {', '.join(_PICKLED)}; {FORMS}")


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], *, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file.

    Raises:
        OSError: the disk is full, say.
    """
    with disk_errors(path):
        save_file(dict(tensors), path, metadata=metadata)


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Make errors of the disk of what safetensors and torch.save raise when they cannot write.

    Raises:
        OSError: with the number that the system gave, where it was told.
    """
    try:
        yield
    except safetensors.SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error), str(place)) from error
    except RuntimeError as error:
        if not re.search("inline_container|PytorchStreamWriter", str(error)):
            raise
        raise OSError(errno.ENOSPC, "torch could not write all of a file", str(place)) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a config.

    Raises:
        InputError: it is not there or no JSON.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); {FORMS}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds a {type(found).__name__}, no config; {FORMS}")
    return found
