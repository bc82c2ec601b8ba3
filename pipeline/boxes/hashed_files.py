"""Hashed files: a table's URL -> an open file that is hashed as it is read."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import fsspec

from pipeline.errors import InputError
from pipeline.storage.urls import filesystem
from schemas.drops import Drop

BLOCK_BYTES = 8 << 20


@dataclass
class TableDigest:
    """What was read of one table; complete once its last block has been taken."""

    bytes: int = 0
    rows: int = 0
    sha256: str = ""
    wrong_width: list[Drop] = field(default_factory=list)  # rows with too many or too few fields


def open_table(url: str, *, anonymous: bool, compression: str | None = None) -> Any:
    """Open a table for reading.

    Args:
        compression: `infer` to decompress it.

    Raises:
        InputError: it is missing or forbidden.
    """
    fs, path = filesystem(url, anonymous=anonymous)
    try:
        return fs.open(path, "rb", compression=compression)
    except IsADirectoryError as error:
        place = url.rstrip("/")
        raise InputError(f"{url}: is a folder; give the tables in it, as a quoted glob: '{place}/*'") from error
    except FileNotFoundError as error:
        raise InputError(
            f"{url}: not found or not reachable; check --boxes, --image-info and --classes, and the network"
        ) from error
    except PermissionError as error:
        raise InputError(f"{url}: not allowed to read it; check the credentials, or give --anonymous") from error
    except OSError as error:
        raise InputError(f"{url}: cannot be read ({error}); check the network, or give a local copy") from error


class HashedReader(io.RawIOBase):
    """A file that hashes what is read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._file.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._hash.update(chunk)
        self.bytes += len(chunk)
        return len(chunk)

    def sha256(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def opened_hashed(url: str, digest: TableDigest, *, anonymous: bool) -> Iterator[Any]:
    """Open a table, decompressed, and hash the stored file as it is read; the digest holds on leaving."""
    compression = fsspec.utils.infer_compression(url)
    with open_table(url, anonymous=anonymous) as raw:
        hashed = HashedReader(raw)
        buffered = io.BufferedReader(hashed, BLOCK_BYTES)
        yield fsspec.compression.compr[compression](buffered, mode="rb") if compression else buffered
        while buffered.read(BLOCK_BYTES):  # what a decompressor left
            pass
        digest.bytes, digest.sha256 = hashed.bytes, hashed.sha256()
