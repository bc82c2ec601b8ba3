"""Storage: any fsspec URL -> bytes in, whole files out.

A file is either absent or whole: local files are written aside, synced and renamed, objects arrive by one PUT or a
completed multipart upload.
"""

import hashlib
import json
import os
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import InputError

T = TypeVar("T")

ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.5
PERMANENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


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
    matches = sorted(str(match) for match in fs.glob(path))
    if not matches:
        raise InputError(f"{pattern}: no file matches; check the pattern, quoted so that the shell leaves it alone")
    return [str(fs.unstrip_protocol(match)) if not isinstance(fs, LocalFileSystem) else match for match in matches]


def with_retries(action: Callable[[], T]) -> T:
    """Run an action on storage; wait and repeat on what may pass (throttling, 5xx, resets, time-outs).

    Raises:
        OSError: at once when the cause is permanent (absent, forbidden), else after the last attempt.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except PERMANENT:
            raise
        except aiohttp.ClientResponseError as error:
            if error.status in (404, 410):
                raise FileNotFoundError(str(error)) from error
            if error.status in (401, 403):
                raise PermissionError(str(error)) from error
            if attempt == ATTEMPTS:
                raise OSError(str(error)) from error
        except (OSError, aiohttp.ClientError) as error:
            if attempt == ATTEMPTS:
                raise OSError(f"{type(error).__name__}: {error}") from error
            # Jitter spreads the workers' retries; it changes when bytes arrive, never which.
            time.sleep(FIRST_WAIT_SECONDS * 2 ** (attempt - 1) * random.SystemRandom().uniform(0.5, 1.5))
    raise AssertionError("the loop above returns or raises")


def sha256_of(path: Path) -> str:
    """Hash a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Folder:
    """A folder at any fsspec URL; names inside it are relative and cannot leave it."""

    url: str
    anonymous: bool = False

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

    def exists(self, name: str) -> bool:
        return bool(with_retries(lambda: self.fs.exists(self.path(name))))

    def read(self, name: str) -> bytes:
        """Read a whole file.

        Raises:
            FileNotFoundError: it is absent.
        """
        return bytes(with_retries(lambda: self.fs.cat_file(self.path(name))))

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Read `size` bytes from `offset`: one range request."""
        return bytes(with_retries(lambda: self.fs.cat_file(self.path(name), start=offset, end=offset + size)))

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
        self.write(name, (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())

    def publish(self, built: Path, name: str) -> None:
        """Move a file built in `scratch` to its place, whole."""
        target = self.path(name)
        if not self.local:
            with_retries(lambda: self.fs.put_file(str(built), target))
            return
        with built.open("rb") as file:
            os.fsync(file.fileno())
        place = Path(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        built.replace(place)
        descriptor = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a local folder to build files in, removed afterwards; on the same disk as a local folder's files."""
        parent = Path(self.path("run/tmp")) if self.local else Path(tempfile.gettempdir())
        folder = parent / f"pbe-{uuid.uuid4().hex}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Remove a file or a whole sub-folder, if it is there."""
        if self.exists(name):
            self.fs.rm(self.path(name), recursive=True)
