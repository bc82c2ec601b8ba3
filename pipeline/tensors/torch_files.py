"""Torch files: what torch.save wrote, today's archive or the form before torch 1.6 -> the tensors of its state dict.

Only the numbers of those tensors are read: not those of an optimiser's states beside them.
"""

import io
import mmap
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import BinaryIO, cast

import torch

from pipeline.errors import InputError
from pipeline.tensors.pickles import Storage, TensorRecord, load_inert, named_items

_DAMAGED = (
    UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,
    MemoryError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
)
_OLDER_MAGIC = 0x1950A86A20F9469CFC6C
_COUNT_BYTES = 8
_ZIP_MAGIC = b"PK\x03\x04"
_FIRST = (b"\x80", b"L")  # of a number's pickle, in protocol 2 and above, and in 1

Reader = Callable[[Storage], torch.Tensor]
"""Reads a storage: [size in bytes] uint8."""


def load_torch_file(path: Path, *, beside: str = "") -> dict[str, torch.Tensor]:
    """Read the tensors of a state dict, which may lie under `state_dict` beside other things.

    Args:
        beside: the name of another dict there, which is read in its place; empty where there is none of that name.

    Raises:
        InputError: the file is not a checkpoint, is damaged, or holds no named tensors.
    """
    try:
        with path.open("rb") as file:
            load = _load_archive if file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC else _load_older
            tensors = load(file, beside)
    except _DAMAGED as error:
        raise InputError(
            f"{path}: cannot be read as tensors ({_reason(error)}); copy it again, or give a .safetensors file or a "
            "state dict of plain tensors written by torch.save"
        ) from error
    if not tensors and not beside:
        raise InputError(f"{path}: holds no named tensors; give a checkpoint that has a state dict")
    return tensors


def _load_archive(source: BinaryIO, beside: str) -> dict[str, torch.Tensor]:
    with zipfile.ZipFile(source) as archive:
        entries = {re.sub(r"^[^/]*/", "", entry.filename): entry for entry in archive.infolist()}
        if "constants.pkl" in entries:
            raise UnpicklingError("it holds a program, not only tensors")
        if "data.pkl" not in entries:
            raise UnpicklingError("it is an archive of another kind")

        def read(name: str, *, least: int = 0) -> torch.Tensor:
            entry = entries[name]
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size < least:
                raise UnpicklingError(f"its {name} has {entry.file_size} bytes, not {least}, or is compressed")
            if not entry.CRC:
                del entry.CRC  # torch can leave checksums out; zipfile compares those that are there
            with archive.open(entry) as file:
                return _read_bytes(cast(BinaryIO, file), entry.file_size)

        if "byteorder" in entries and read("byteorder").numpy().tobytes() != b"little":
            raise UnpicklingError("its numbers are big-endian")
        value, _ = load_inert(io.BytesIO(read("data.pkl").numpy().tobytes()))
        return _tensors_of(value, beside, lambda storage: read(f"data/{storage.key}", least=storage.bytes))


def _load_older(file: BinaryIO, beside: str) -> dict[str, torch.Tensor]:
    """Read five pickles one after the other (magic number, version, system, value, keys of storages), then these."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        pickles = cast(BinaryIO, mapped)
        if mapped[:1] not in _FIRST or load_inert(pickles)[0] != _OLDER_MAGIC:
            raise UnpicklingError("it is not what torch.save writes")
        load_inert(pickles), load_inert(pickles)
        value, storages = load_inert(pickles)
        places: dict[str, int] = {}
        for key in load_inert(pickles)[0]:
            [count] = struct.unpack("<q", mapped.read(_COUNT_BYTES))
            if count != storages[key].count:
                raise UnpicklingError(f"its storage {key} has {count} numbers, not {storages[key].count}")
            places[key] = mapped.tell()
            mapped.seek(storages[key].bytes, 1)

    def read(storage: Storage) -> torch.Tensor:
        file.seek(places[storage.key])
        return _read_bytes(file, storages[storage.key].bytes)

    return _tensors_of(value, beside, read)


def _tensors_of(value: object, beside: str, read: Reader) -> dict[str, torch.Tensor]:
    """Make the tensors of a state dict, or of the one under `state_dict`, or of another one by name."""
    top = named_items(value)
    name = beside or "state_dict"
    state = named_items(top[name]) if name in top else {} if beside else top
    buffers: dict[str, torch.Tensor] = {}
    tensors = {}
    for name, record in state.items():
        if isinstance(record, TensorRecord):
            key = record.storage.key
            if key not in buffers:
                buffers[key] = read(record.storage)
            tensors[name] = _view(buffers[key], record)
    return tensors


def _view(buffer: torch.Tensor, record: TensorRecord) -> torch.Tensor:
    """Look at a part of a storage; torch refuses what lies outside it."""
    whole = buffer[: len(buffer) // record.dtype.itemsize * record.dtype.itemsize].view(record.dtype)
    return whole.as_strided(record.shape, record.stride, record.offset)


def _read_bytes(file: BinaryIO, size: int) -> torch.Tensor:
    """Read bytes: [size] uint8.

    Raises:
        EOFError: there are fewer.
    """
    buffer = torch.empty(size, dtype=torch.uint8)
    if size and cast(io.BufferedIOBase, file).readinto(buffer.numpy().data) != size:
        raise EOFError("it ends too early")
    return buffer


def _reason(error: Exception) -> str:
    if isinstance(error, UnpicklingError):
        return str(error)
    return " ".join(f"it is damaged, {type(error).__name__}: {error}".split())[:200]
