"""Storage: any fsspec URL -> bytes in, whole files out.

A file is either absent or whole: local files are written aside, synced and renamed, objects arrive by one PUT or a
completed multipart upload.
"""

import errno
import fcntl
import functools
import hashlib
import os
import random
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import fsspec
from botocore.exceptions import BotoCoreError
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import InputError
from schemas.shards import json_bytes

T = TypeVar("T")

ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.5
PERMANENT = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
FULL = (errno.ENOSPC, errno.EDQUOT)
NO_PATH = errno.ENAMETOOLONG, errno.ELOOP
NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
HTTP_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
SCRATCH_LOCK = ".in-use"
_NO_PLACE = re.compile(r"[a-z][a-z0-9+]*:/*")


class StorageError(OSError):
    """Storage went on failing for a passing cause, after all retries."""


def filesystem(url: str, *, anonymous: bool = False) -> tuple[Any, str]:
    """Open the filesystem of a URL.

    Args:
        anonymous: read a public bucket without credentials (s3 and gs only).

    Returns:
        The fsspec filesystem and the URL's path on it.

    Raises:
        InputError: the URL's scheme is unknown, or its package is not installed.
    """
    options: dict[str, Any] = {"anon": True} if anonymous and url.startswith("s3://") else {}
    if anonymous and url.startswith(("gs://", "gcs://")):
        options = {"token": "anon"}
    if url.startswith(("http://", "https://")):
        options = {"client_kwargs": {"timeout": HTTP_TIMEOUT}}
    if _NO_PLACE.fullmatch(url):
        raise InputError(f"{url}: names a kind of storage, but no place there; is a variable unset?")
    try:
        fs, path = fsspec.core.url_to_fs(url, **options)
    except (ValueError, ImportError) as error:
        raise InputError(f"{url}: {error}") from error
    return fs, path


def is_local(url: str) -> bool:
    """Tell whether the URL lies on this machine's own filesystem."""
    return isinstance(filesystem(url)[0], LocalFileSystem)


def absolute(url: str) -> str:
    """Make a local path absolute; leave other URLs as they are."""
    return str(Path(filesystem(url)[1]).absolute()) if is_local(url) else url.rstrip("/")


def expand(pattern: str, *, anonymous: bool = False) -> list[str]:
    """List the files that a URL or glob names, sorted by name.

    Raises:
        InputError: nothing matches.
    """
    marks = "*[" if pattern.startswith(("http://", "https://")) else "*?["  # a ? begins a URL's query
    if not any(mark in pattern for mark in marks):
        return [pattern]
    fs, path = filesystem(pattern, anonymous=anonymous)
    if isinstance(fs, LocalFileSystem) and Path(path).exists():
        return [pattern]
    try:
        matches = sorted(str(match) for match in with_retries(lambda: fs.glob(path)))
    except OSError as error:
        raise InputError(f"{pattern}: cannot be listed ({error}); check the address and the credentials") from error
    if not matches:
        raise InputError(f"{pattern}: no file matches; check the pattern, quoted so that the shell leaves it alone")
    return [str(fs.unstrip_protocol(match)) if not isinstance(fs, LocalFileSystem) else match for match in matches]


def with_retries(action: Callable[[], T]) -> T:
    """Run an action on storage; wait and repeat on what may pass (throttling, 5xx, resets, time-outs).

    Raises:
        OSError: at once when the cause is permanent (absent, forbidden, disk full).
        StorageError: after the last attempt.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except PERMANENT:
            raise
        except (OSError, aiohttp.ClientError, BotoCoreError) as error:
            status = _http_status(error)
            if status in (404, 410):
                raise FileNotFoundError(str(error)) from error
            if status in (401, 403):
                raise PermissionError(str(error)) from error
            if is_full(error) or status == 416 or getattr(error, "errno", None) in NO_PATH:
                raise
            if attempt == ATTEMPTS:
                raise StorageError(f"{type(error).__name__}: {error}") from error
            # Jitter spreads the workers' retries; it changes when bytes arrive, never which.
            time.sleep(FIRST_WAIT_SECONDS * 2 ** (attempt - 1) * random.SystemRandom().uniform(0.5, 1.5))
    raise AssertionError("the loop above returns or raises")


def is_full(error: BaseException) -> bool:
    """Tell whether a disk, or one's share of it, is full."""
    return isinstance(error, OSError) and error.errno in FULL


def read_bytes(fs: Any, path: str, *, start: int = 0, end: int | None = None) -> bytes:
    """Read a file, or a range of it, by one request; an empty file has no ranges, which is no error here."""
    try:
        return bytes(with_retries(lambda: fs.cat_file(path, start=start, end=end)))
    except OSError as error:
        if _http_status(error) == 416:
            return b""
        raise


def _http_status(error: BaseException | None) -> int | None:
    """The status that a server answered, as aiohttp or botocore keeps it."""
    while error is not None:
        if isinstance(error, aiohttp.ClientResponseError):
            return error.status
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        error = error.__cause__
    return None


def sha256_of(path: Path) -> str:
    """Hash a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _allow() -> None:
    """Forbid nothing."""


@dataclass(frozen=True)
class Folder:
    """A folder at any fsspec URL; names inside it are relative and cannot leave it.

    Args:
        guard: called before anything is written or removed; may raise to forbid it.
    """

    url: str
    anonymous: bool = False
    guard: Callable[[], None] = field(default=_allow, repr=False, compare=False)

    @property
    def fs(self) -> Any:
        return filesystem(self.url, anonymous=self.anonymous)[0]

    @property
    def local(self) -> bool:
        return is_local(self.url)

    def path(self, name: str) -> str:
        """Give the path of a name on the folder's filesystem.

        Raises:
            ValueError: the name would leave the folder.
        """
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"{name!r} would leave {self.url}")
        root: str = filesystem(self.url, anonymous=self.anonymous)[1]
        return f"{root.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes:
        """Read a whole file.

        Raises:
            FileNotFoundError: it is absent.
        """
        return read_bytes(self.fs, self.path(name))

    def read_if_there(self, name: str) -> bytes | None:
        """Read a whole file by one request; None where it is absent."""
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Read `size` bytes from `offset`: one range request."""
        return read_bytes(self.fs, self.path(name), start=offset, end=offset + size)

    def names(self, name: str) -> list[str]:
        """List the names of the files in a sub-folder; empty where it is absent."""
        try:
            self.fs.invalidate_cache()
            entries = with_retries(lambda: self.fs.ls(self.path(name), detail=False))
        except FileNotFoundError:
            return []
        return sorted(str(entry).rsplit("/", 1)[-1] for entry in entries)

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file, replacing what is there."""
        with self.scratch() as folder:
            (folder / "file").write_bytes(content)
            self.publish(folder / "file", name)

    def write_json(self, name: str, content: Any) -> None:
        """Write JSON with sorted keys, so that equal contents give equal bytes."""
        self.write(name, json_bytes(content))

    def create(self, name: str, content: bytes) -> bool:
        """Write a whole file only where there is none.

        Returns:
            Whether the file now holds this content: also when an earlier attempt, whose answer was lost, wrote it.
        """
        self.guard()
        if self.local:
            with self.scratch() as folder:
                (folder / "file").write_bytes(content)
                created = self._link(folder / "file", name)
        else:
            created = self._put_new(name, content)
        return created or self.read_if_there(name) == content

    def publish(self, built: Path, name: str) -> None:
        """Move a file built in `scratch` to its place, whole."""
        self.guard()
        target = self.path(name)
        if not self.local:
            with_retries(lambda: self.fs.put_file(str(built), target))
            return
        place = _synced(built, Path(target))
        built.replace(place)
        sync_folder(place.parent)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a local folder to build files in, removed afterwards; on the same disk as a local folder's files.

        A folder whose process was killed is removed by the next that comes by.
        """
        parent = Path(self.path("run/tmp")) if self.local else Path(tempfile.gettempdir()) / "pbe-scratch"
        _sweep(parent)
        name = uuid.uuid4().hex
        folder = parent / f"new-{name}"
        folder.mkdir(parents=True)
        with (folder / SCRATCH_LOCK).open("w") as lock:
            _try_lock(lock.fileno())
            folder = folder.rename(parent / f"pbe-{name}")  # only now may others judge it by its lock
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def delete(self, name: str) -> None:
        """Remove one file, if it is there."""
        self.guard()
        with suppress(FileNotFoundError):
            with_retries(lambda: self.fs.rm_file(self.path(name)))

    def remove(self, name: str) -> None:
        """Remove a file or a whole sub-folder, if it is there; of a link to a folder, what lies in that folder."""
        self.guard()
        if self.local:
            path = Path(self.path(name))
            if path.is_symlink() and path.is_dir():
                for entry in list(path.iterdir()):
                    self.remove(f"{name}/{entry.name}")
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        elif with_retries(lambda: self.fs.exists(self.path(name))):
            with_retries(lambda: self.fs.rm(self.path(name), recursive=True))

    def abort_uploads(self) -> int:
        """Abort the multipart uploads into this folder that a killed job left, and tell how many (S3 only).

        Raises:
            PermissionError: the credentials do not allow it.
        """
        self.guard()
        fs = self.fs
        if not hasattr(fs, "list_multipart_uploads"):
            return 0
        bucket, prefix, _ = fs.split_path(self.path(""))
        aborted = 0
        marker: dict[str, str] = {}
        while True:
            query = {"Bucket": bucket, "Prefix": prefix, **marker}
            page = with_retries(functools.partial(fs.call_s3, "list_multipart_uploads", **query))
            for upload in page.get("Uploads", []):
                place = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                with suppress(FileNotFoundError):
                    with_retries(functools.partial(fs.call_s3, "abort_multipart_upload", **place))
                    aborted += 1
            if not page.get("IsTruncated"):
                return aborted
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _link(self, built: Path, name: str) -> bool:
        """Bring a file to its place where there is none; False where there is one."""
        place = _synced(built, Path(self.path(name)))
        try:
            os.link(built, place)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            if place.exists():  # the job's lock keeps others away
                return False
            built.replace(place)
        sync_folder(place.parent)
        return True

    def _put_new(self, name: str, content: bytes) -> bool:
        """PUT an object where there is none; False where there is one."""
        path = self.path(name)
        try:
            with_retries(lambda: self.fs.pipe_file(path, content, mode="create"))
        except FileExistsError:
            return False
        except OSError as error:
            if _http_status(error) != 501:  # a server that knows no conditional PUT
                raise
            if self.read_if_there(name) is not None:
                return False
            with_retries(lambda: self.fs.pipe_file(path, content))
        return True


def _synced(built: Path, place: Path) -> Path:
    """Bring a file's content to the disk, and make the folder that it will lie in."""
    with built.open("rb") as file:
        os.fsync(file.fileno())
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Lock an open file for this process; False where another holds it, or files cannot be locked here."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@functools.cache
def _sweep(parent: Path) -> None:
    """Remove the scratch folders of dead processes, once a process: they lie unlocked."""
    for lock in parent.glob(f"pbe-*/{SCRATCH_LOCK}"):
        with suppress(FileNotFoundError), lock.open() as file:
            if _try_lock(file.fileno()):
                shutil.rmtree(lock.parent, ignore_errors=True)
