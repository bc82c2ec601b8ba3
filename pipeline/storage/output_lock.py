"""Output lock: an output -> held by one job at a time.

On a local disk the operating system releases the lock when its job dies. On object storage, and on disks that cannot
lock files, the lock is an object that its holder renews: see lock_objects.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.errors import InputError
from pipeline.storage.file_locks import lock_file
from pipeline.storage.folder import Folder
from pipeline.storage.holders import Hold, held_elsewhere
from pipeline.storage.object_lock import locked_object
from pipeline.storage.retries import is_full

LOCK = "run/lock"


@contextmanager
def locked(out: Folder, *, say: Callable[[str], None] = print) -> Iterator[Hold]:
    """Hold an output for this process.

    Args:
        say: called with lines on whose lock is waited for or taken over.

    Raises:
        InputError: another job holds it, named by its host and process; or it cannot be written.
    """
    if out.local:
        path = Path(out.path(LOCK))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
        except OSError as error:
            if is_full(error):
                raise
            raise InputError(f"--out {out.url}: cannot be written ({error}); give a folder that can") from error
        with file:
            if _hold_file(file, out):
                yield Hold()
                return
    with locked_object(out, f"{LOCK}.json", say=say) as hold:
        yield hold


def _hold_file(file: IO[Any], out: Folder) -> bool:
    """Lock a local file, and write this process into it; False where the filesystem has no locks."""
    try:
        if not lock_file(file):
            return False
    except BlockingIOError as error:
        file.seek(0)
        raise held_elsewhere(out.url, file.read().strip() or "just started") from error
    file.truncate(0)
    file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    file.flush()
    return True
