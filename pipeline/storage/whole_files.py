"""Whole files: a file or folder written aside -> the same in its place, complete and on the disk, or not there at all.

What is unfinished lies beside its place under a hidden name. Its content is synced before it is renamed, and the
rename itself is synced too, so that neither a kill nor a power cut leaves half a file under the final name.
"""

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


def write_aside(path: Path, content: bytes, *, writer: str = "") -> None:
    """Write a complete file, in place of an older one; see file_aside."""
    with file_aside(path, writer=writer) as aside:
        aside.write_bytes(content)


@contextmanager
def file_aside(path: Path, *, writer: str = "") -> Iterator[Path]:
    """Give a path to write a file at, and move the file to its place afterwards; on any failure, remove it.

    Args:
        path: the file's place; its folder exists.
        writer: names the process where several may write the same file at once.
    """
    aside = _beside(path, f"writing{writer}")
    try:
        yield aside
        move_to_place(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)  # on a full disk it would keep the room
        raise


@contextmanager
def folder_aside(out: Path) -> Iterator[Path]:
    """Give an empty folder to fill, and put it in place of an older one afterwards; on any failure, remove it.

    The older one goes only once the new one is in its place. A link stays: what it leads to is replaced.
    """
    out = out.resolve()
    aside, older = _beside(out, "writing"), _beside(out, "replaced")
    shutil.rmtree(aside, ignore_errors=True)  # a killed process left it
    aside.mkdir(parents=True)
    try:
        yield aside
        _sync_tree(aside)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)  # on a full disk it would keep the room
        raise
    shutil.rmtree(older, ignore_errors=True)
    if out.exists():
        out.rename(older)
    aside.rename(out)
    sync_folder(out.parent)
    shutil.rmtree(older, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder, or, where a kill comes between, leave none under its name."""
    older = _beside(folder, "replaced")
    shutil.rmtree(older, ignore_errors=True)
    folder.rename(older)
    sync_folder(folder.parent)
    shutil.rmtree(older, ignore_errors=True)


def move_to_place(built: Path, place: Path) -> None:
    """Sync a finished file, rename it, and sync the rename; both paths are on the same disk."""
    sync_file(built)
    built.replace(place)
    sync_folder(place.parent)


def sync_file(path: Path) -> None:
    """Bring a file's content to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        elif path.is_file():
            sync_file(path)
    sync_folder(folder)


def _beside(path: Path, what: str) -> Path:
    """Name what lies for a moment beside `path`, as nobody else names anything."""
    return path.with_name(f".{path.name}.pbe-{what}")
