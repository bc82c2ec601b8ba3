"""Keeper: an open pipe, a folder, `mongod` -> a mongod that ends with the last process that can write to the pipe.

A program of its own, of the standard library alone. Every browse holds the pipe's writing end, so that the kernel tells
when the last one has ended, however it ended. Where the keeper itself is killed, the kernel ends mongod.

    python mongod_keeper.py PIPE_FD FOLDER MONGOD [ARGUMENTS]
"""

import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

LOCK, LOG = "browse.lock", "mongod.log"
POLL_SECONDS = 0.2
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Run mongod until nobody needs it any more; its exit code."""
    pipe, folder = int(arguments[0]), Path(arguments[1])
    signal.signal(signal.SIGTERM, _stop)
    with (folder / LOG).open("wb") as log:
        mongod = subprocess.Popen(
            arguments[2:], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent
        )
    try:
        while mongod.poll() is None:
            if not _is_needed(pipe, POLL_SECONDS):
                # Whoever joins holds this lock meanwhile, and is seen here before mongod is stopped.
                with (folder / LOCK).open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    if not _is_needed(pipe, 0):
                        code = _end(mongod)
                        os.close(pipe)  # before the lock, so that nobody joins an end
                        return code
        return mongod.returncode
    except KeyboardInterrupt:
        return _end(mongod)


def _is_needed(pipe: int, seconds: float) -> bool:
    """Whether any process has the writing end open; waits for that long, or until none has."""
    poll = select.poll()
    poll.register(pipe, 0)  # hang-ups are always told
    return not poll.poll(seconds * 1000)


def _end(mongod: "subprocess.Popen[bytes]") -> int:
    mongod.terminate()
    return mongod.wait()


def _end_with_parent() -> None:
    """Have the kernel end this process with its parent, even by SIGKILL; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
