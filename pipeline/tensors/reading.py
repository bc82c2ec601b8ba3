"""Reading: a file, or the folder of one part of a model <-> tensors by name. Unpickles nothing else."""

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save_file

from pipeline.errors import InputError
from pipeline.tensors.torch_files import load_torch_file
from pipeline.tensors.weight_files import INDEX_SUFFIX, PICKLED, SAFE, STEMS, find_weights, read_index


def read_part(folder: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of one part of a pipeline's folder, such as `unet/`, from one file or from shards.

    Raises:
        InputError: it has no weights, or they are incomplete or cannot be read safely.
    """
    path = find_weights(folder)
    if path is None:
        raise InputError(f"{folder}: has no weights, such as {STEMS[0]}.safetensors or {STEMS[2]}.bin; copy it again")
    return read_tensors(path)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file, or of the shards that an index names, in the precision that they were saved in.

    Raises:
        InputError: it is damaged, incomplete or of another kind.
    """
    if path.suffix == INDEX_SUFFIX:
        return _read_shards(path)
    if path.suffix == SAFE:
        try:
            return load_file(path)  # type: ignore[no-any-return]
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"{path}: is not a complete safetensors file ({error}); copy it again") from error
    if path.suffix in PICKLED:
        return load_torch_file(path)
    raise InputError(f"{path}: ends neither in {SAFE} nor in {', '.join(PICKLED)}; give a file of weights")


def _read_shards(index: Path) -> dict[str, torch.Tensor]:
    """Read all shards of an index.

    Raises:
        InputError: a tensor is missing, or lies in two shards.
    """
    places = read_index(index)
    tensors: dict[str, torch.Tensor] = {}
    found: dict[str, Path] = {}
    for file in sorted(set(places.values())):
        for name, tensor in read_tensors(file).items():
            if name in found:
                raise InputError(f"{index}: {name} lies both in {found[name].name} and in {file.name}; copy them again")
            tensors[name], found[name] = tensor, file
    missing = [name for name, place in places.items() if found.get(name) != place]
    if missing:
        place = places[missing[0]].name
        raise InputError(
            f"{index}: {len(missing)} tensors are not where it says, such as {missing[0]} in {place}; copy it and its "
            "shards again"
        )
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], *, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file.

    Raises:
        OSError: it cannot be written, for example because the disk is full.
    """
    storages: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():  # the format has no tensors that share numbers
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in storages else tensor
        storages.add(place)
    with disk_errors(path):
        path.touch()
        mode = path.stat().st_mode  # as for any file; safetensors would make it for its owner alone
        save_file(apart, path, metadata=metadata)
        path.chmod(mode)


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
