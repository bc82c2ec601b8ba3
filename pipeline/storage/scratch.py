"""Scratch: folders for unfinished work, swept once their process is dead."""

import fcntl
import functools
import shutil
from contextlib import suppress
from pathlib import Path

SCRATCH_LOCK = ".in-use"


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process; False where another holds it, or files cannot be locked here."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@functools.cache
def sweep(parent: Path) -> None:
    """Remove the scratch folders of dead processes, once a process: they lie unlocked."""
    for lock in parent.glob(f"pbe-*/{SCRATCH_LOCK}"):
        with suppress(FileNotFoundError), lock.open() as file:
            if try_lock(file.fileno()):
                shutil.rmtree(lock.parent, ignore_errors=True)
