"""Bounded reads: a name in a folder -> a picture's bytes, and never more than a picture may have."""

import errno
import io
import stat
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import PhotoError
from pipeline.storage.folder import Folder
from pipeline.storage.names import forms, stored_path
from pipeline.storage.retries import read_bytes, with_retries

MAX_PHOTO_BYTES = 64 << 20  # up to 48 photos wait for their turn; a JPEG of 180 MP has about 50 MiB
MAX_PATH_BYTES = 1024  # an S3 key has no more


def read_picture(folder: Folder, name: str) -> bytes:
    """Read a picture's bytes by its exact name in a folder.

    Raises:
        PhotoError: it is missing, empty, too large or not a file, or its name would leave the folder.
        OSError: storage failed for a passing cause, after all retries.
    """
    refuse_unsafe(name)
    data = read_if_there(folder, name)
    if data is None:
        raise PhotoError("missing", name)
    if not data:
        raise PhotoError("empty", "0 bytes")
    return data


def refuse_unsafe(name: str) -> None:
    """Refuse an id or name that would leave its folder, or that no file should have.

    Raises:
        PhotoError: `unsafe_id`.
    """
    if not name.isprintable() or any(part in ("", ".", "..") for part in name.split("/")):
        raise PhotoError("unsafe_id", repr(name[:100]))


def read_if_there(folder: Folder, name: str) -> bytes | None:
    """Read a picture's bytes as `read_picture` does, in whatever form its name is stored; None where it is missing."""
    try:
        if folder.local:
            return _read_local(stored_path(Path(folder.path(name))))
        return next((data for form in forms(name) if (data := _read_object(folder, form)) is not None), None)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        if error.errno == errno.ELOOP:
            raise PhotoError("not_a_file", f"{name}: a link that leads to itself") from error
        raise


def _read_local(path: Path) -> bytes:
    """Read a regular file; anything else might never end, and is not opened."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(path)
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("not_a_file", f"{path.name}: {stat.filemode(status.st_mode)}")
    if not status.st_size:
        return b""  # files under /proc say so too, and some of them never end
    if status.st_size > MAX_PHOTO_BYTES:
        raise PhotoError("too_many_bytes", f"{status.st_size} bytes")
    with path.open("rb") as file:
        return _read_limited(file)


def _read_object(folder: Folder, name: str) -> bytes | None:
    path = folder.path(name)
    if len(path.encode()) > MAX_PATH_BYTES or "?versionId=" in name:  # which s3fs would cut off
        return None
    try:
        return _read_remote(folder.fs, path)
    except FileNotFoundError:
        return None


def _read_remote(fs: Any, path: str) -> bytes:
    """Read an object by one request, and no more of it than a photo may have."""
    if "http" in fs.protocol:  # a web server may ignore a range: its answer is read piece by piece
        return with_retries(lambda: _read_stream(fs, path))
    return _read_limited(io.BytesIO(read_bytes(fs, path, end=MAX_PHOTO_BYTES + 1)))


def _read_stream(fs: Any, path: str) -> bytes:
    with fs.open(path, block_size=0, size=1) as file:
        return _read_limited(file)


def _read_limited(file: BinaryIO) -> bytes:
    pieces = []
    left = MAX_PHOTO_BYTES + 1
    while left > 0 and (piece := file.read(left)):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise PhotoError("too_many_bytes", f"more than {MAX_PHOTO_BYTES} bytes")
    return b"".join(pieces)
