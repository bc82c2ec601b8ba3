"""File locks: an open file -> held by this process alone, until it is closed or the process ends, however it ends."""

import errno
import fcntl
from typing import IO, Any

NO_FILE_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def lock_file(file: IO[Any]) -> bool:
    """Lock an open file for this process, at once.

    Returns:
        Whether it is locked now; False where the filesystem has no locks.

    Raises:
        BlockingIOError: another process holds it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in NO_FILE_LOCKS:
            return False
        raise
    return True


def wait_for_lock(file: IO[Any]) -> None:
    """Lock an open file for this process, once its holder lets go.

    Raises:
        OSError: the filesystem has no locks.
    """
    fcntl.flock(file, fcntl.LOCK_EX)
