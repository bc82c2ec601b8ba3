"""Npz: named arrays, numbers and words <-> one file, anywhere, from which nothing is executed. Imports no torch."""

import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.storage.names import read_stored
from pipeline.storage.retries import with_retries
from pipeline.storage.urls import filesystem, is_local
from pipeline.storage.whole_files import write_aside

Array = NDArray[Any]
ENCODER, DIGEST = "encoder", "digest"  # whose features these are: FeatureEncoder.name and .digest

# What zipfile and numpy raise for damaged files.
_DAMAGED = (
    ValueError,
    EOFError,
    OSError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def write_npz(url: str, fields: Mapping[str, Array | str | int | float]) -> None:
    """Write a file, complete or not at all; equal fields give equal bytes.

    Raises:
        InputError: it cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **{name: np.asarray(value) for name, value in fields.items()})
    fs, place = filesystem(url)
    try:
        if is_local(url):
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            write_aside(Path(place), content.getvalue(), writer=str(os.getpid()))
        else:
            with_retries(lambda: fs.pipe_file(place, content.getvalue()))
    except OSError as error:
        raise InputError(f"{url}: cannot be written ({error}); give a path that can") from error


def read_npz(url: str, *, remedy: str) -> dict[str, Array]:
    """Read all of a file; arrays of objects are refused, as they would be unpickled.

    Args:
        remedy: how to get a sound file, for errors.

    Raises:
        InputError: it is missing, no npz, or damaged.
    """
    fs, place = filesystem(url)
    try:
        content = read_stored(fs, place)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise InputError(f"{url}: cannot be read ({reason}); {remedy}") from error
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise InputError(f"{url}: is no npz file, or one that was cut short; {remedy}")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            fields = {name: file[name] for name in file.files}
    except _DAMAGED as error:
        raise InputError(f"{url}: is damaged ({error}); {remedy}") from error
    odd = sorted(name for name, value in fields.items() if not isinstance(value, np.ndarray))
    if odd:
        raise InputError(f"{url}: {', '.join(odd)} are no arrays; {remedy}")
    return fields


def refuse_other_encoder(url: str, fields: Mapping[str, Array], *, encoder: str, digest: str, remedy: str) -> None:
    """Refuse a file of another encoder's features.

    Raises:
        InputError: naming both encoders.
    """
    lacking = [name for name in (ENCODER, DIGEST) if name not in fields]
    if lacking:
        raise InputError(f"{url}: does not say whose features it holds ({', '.join(lacking)} missing); {remedy}")
    name, mark = word(fields[ENCODER]), word(fields[DIGEST])
    if (name, mark) != (encoder, digest):
        raise InputError(f"{url}: holds features of {name} ({mark}), not of {encoder} ({digest}); {remedy}")


def word(value: Array) -> str:
    """Return a word as it was written, whatever was."""
    return str(value.item()) if value.ndim == 0 else f"{value.dtype} {list(value.shape)}"


def floats(url: str, fields: Mapping[str, Array], name: str, shape: tuple[int, ...], *, remedy: str) -> Array:
    """Return a field of finite floats of a shape, in which -1 stands for any length but 0.

    Raises:
        InputError: it is missing, or of another kind.
    """
    if name not in fields:
        raise InputError(f"{url}: has no {name}; {remedy}")
    value = fields[name]
    fits = value.ndim == len(shape) and all(
        own == wanted or (wanted == -1 and own) for own, wanted in zip(value.shape, shape, strict=True)
    )
    if not fits or not np.issubdtype(value.dtype, np.floating):
        wanted = ", ".join("any" if length == -1 else str(length) for length in shape)
        raise InputError(f"{url}: {name} is {value.dtype} {list(value.shape)}, not floats [{wanted}]; {remedy}")
    if not np.isfinite(value).all():
        raise InputError(f"{url}: {name} is not finite; {remedy}")
    return value
