"""Sweep: the folder of visitors' files -> without those of more than an hour ago.

gradio has a sweep of its own, which overlooks what a component made after its properties were changed.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KEPT_SECONDS, SWEEP_SECONDS = 3600, 600


@contextmanager
def swept(folder: Path) -> Iterator[None]:
    """Sweep a folder every SWEEP_SECONDS."""
    ended = threading.Event()

    def keep_on() -> None:
        while not ended.wait(SWEEP_SECONDS):
            sweep(folder, before=time.time() - KEPT_SECONDS)

    threading.Thread(target=keep_on, name="sweep", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def sweep(folder: Path, *, before: float) -> None:
    """Remove the files of a folder and of those below it that came there before a time, in seconds since 1970.

    One that cannot be removed stays until the next sweep.
    """
    for path in folder.rglob("*"):
        with suppress(OSError):
            if not path.is_dir() and path.lstat().st_ctime < before:
                path.unlink()
