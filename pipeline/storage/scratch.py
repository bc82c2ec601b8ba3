"""Scratch: folders for unfinished work, removed when it is done or, after a kill, by the next process."""

import functools
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pipeline.storage.file_locks import lock_file

SCRATCH_LOCK = ".in-use"


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Give a new folder inside `parent`, and remove it afterwards; also remove those of dead processes."""
    sweep(parent)
    name = uuid.uuid4().hex
    folder = parent / f"new-{name}"
    folder.mkdir(parents=True)
    with (folder / SCRATCH_LOCK).open("w") as lock:
        _try_lock(lock)
        folder = folder.rename(parent / f"pbe-{name}")  # only now may others judge it by its lock
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def sweep(parent: Path) -> None:
    """Remove the scratch folders of dead processes, which lie unlocked; once a process."""
    for lock in parent.glob(f"pbe-*/{SCRATCH_LOCK}"):
        with suppress(FileNotFoundError), lock.open() as file:
            if _try_lock(file):
                shutil.rmtree(lock.parent, ignore_errors=True)


def _try_lock(file: IO[Any]) -> bool:
    """Lock a file; False where another process holds it, or where files cannot be locked."""
    try:
        return lock_file(file)
    except OSError:
        return False
