"""Tensor files: a file, or the folder of one part of a model <-> tensors by name. Unpickles nothing else."""

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save_file

from pbe.weights.model_files import FORMS, PICKLED, STEMS, find_weights
from pbe.weights.pickles import load_pickled_tensors
from pipeline.errors import InputError


def read_part(folder: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of one part of a pipeline's folder, such as `unet/`.

    Raises:
        InputError: it has no weights, or they cannot be read safely.
    """
    path = find_weights(folder)
    if path is None:
        raise InputError(f"{folder}: has no weights, such as {STEMS[0]}.safetensors or {STEMS[2]}.bin; {FORMS}")
    return read_tensors(path)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file, in the precision that they were saved in.

    Raises:
        InputError: it is damaged, of another kind, or wants more than tensors.
    """
    if path.suffix == ".safetensors":
        try:
            return load_file(path)  # type: ignore[no-any-return]
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"{path}: is not a complete safetensors file ({error}); copy it again") from error
    if path.suffix in PICKLED:
        return load_pickled_tensors(path)
    raise InputError(f"{path}: ends neither in .safetensors nor in {', '.join(PICKLED)}; {FORMS}")


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], *, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file.

    Raises:
        OSError: it cannot be written, for example because the disk is full.
    """
    with disk_errors(path):
        save_file(dict(tensors), path, metadata=metadata)


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn what safetensors and torch.save raise when they cannot write into errors of the disk.

    Raises:
        OSError: with the system's number where the library passes it on.
    """
    try:
        yield
    except safetensors.SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        raise OSError(int(number[1]) if number else errno.EIO, str(error), str(place)) from error
    except RuntimeError as error:
        if not re.search("inline_container|PytorchStreamWriter", str(error)):
            raise
        raise OSError(errno.ENOSPC, "torch could not write a complete file", str(place)) from error
