"""Lock: one job at a time on a local output; the operating system releases it when the job dies."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError
from pipeline.storage import Folder

LOCK = "run/lock"


@contextmanager
def locked(out: Folder) -> Iterator[None]:
    """Hold an output for this process. On object storage it is only tried whether it can be written.

    Raises:
        InputError: another job holds it, named by its host and process; or it cannot be written.
    """
    holder = json.dumps({"host": socket.gethostname(), "pid": os.getpid()})
    if not out.local:
        try:
            out.write("run/last_job.json", holder.encode())
        except OSError as error:
            raise InputError(
                f"--out {out.url}: cannot be written ({error}); check the bucket and credentials"
            ) from error
        yield
        return
    path = Path(out.path(LOCK))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise InputError(f"--out {out.url}: cannot be written ({error}); give a folder that can") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise InputError(
                f"--out {out.url}: another job is writing it ({file.read().strip() or 'just started'}); wait for its "
                "end, or give another --out"
            ) from error
        file.truncate(0)
        file.write(holder)
        file.flush()
        yield
