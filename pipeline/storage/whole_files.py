"""Whole files: what is written aside, brought to the disk, and only then named."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Hash a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def synced(built: Path, place: Path) -> Path:
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


def beside(out: Path, what: str) -> Path:
    """Name what lies for a moment beside `out`, as nobody else names anything."""
    return out.with_name(f".{out.name}.pbe-{what}")


@contextmanager
def removed_on_failure(folder: Path) -> Iterator[None]:
    """Leave nothing of a folder that was not finished: on a full disk it would keep the room."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def replace_folder(out: Path, partial: Path) -> None:
    """Put the finished folder in place; the older one is gone only once the new one is there."""
    older = beside(out, "replaced")
    shutil.rmtree(older, ignore_errors=True)
    if out.exists():
        out.rename(older)
    partial.rename(out)
    shutil.rmtree(older, ignore_errors=True)


def write_aside(path: Path, content: bytes, *, suffix: str = ".partial") -> None:
    """Put a whole file in place of an older one.

    Args:
        suffix: of the file while it is written; where several processes may write the same one, each needs its own.
    """
    aside = path.with_name(path.name + suffix)
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_folder(path.parent)
