"""Retries: an action on storage -> the same, tried again while its fault may pass."""

import errno
import random
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.5
PERMANENT = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
FULL = (errno.ENOSPC, errno.EDQUOT)
NO_PATH = errno.ENAMETOOLONG, errno.ELOOP


class StorageError(OSError):
    """Storage went on failing for a passing cause, after all retries."""


def with_retries(action: Callable[[], T]) -> T:
    """Run an action on storage; wait and repeat on what may pass (throttling, 5xx, resets, time-outs).

    Raises:
        OSError: at once when the cause is permanent (missing, forbidden, disk full).
        StorageError: after the last attempt.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except PERMANENT:
            raise
        except _failures() as error:
            status = http_status(error)
            if status in (404, 410):
                raise FileNotFoundError(str(error)) from error
            if status in (401, 403):
                raise PermissionError(str(error)) from error
            if is_full(error) or status == 416 or getattr(error, "errno", None) in NO_PATH:
                raise
            if attempt == ATTEMPTS:
                raise StorageError(f"{type(error).__name__}: {error}") from error
            # Jitter spreads the workers' retries; it changes when bytes arrive, never which.
            time.sleep(FIRST_WAIT_SECONDS * 2 ** (attempt - 1) * random.SystemRandom().uniform(0.5, 1.5))
    raise AssertionError("the loop above returns or raises")


def is_full(error: BaseException) -> bool:
    """Whether a disk, or the user's quota of it, is full."""
    return isinstance(error, OSError) and error.errno in FULL


def read_bytes(fs: Any, path: str, *, start: int = 0, end: int | None = None) -> bytes:
    """Read a file, or a range of it, by one request; that an empty file has no ranges is not an error here."""
    try:
        return bytes(with_retries(lambda: fs.cat_file(path, start=start, end=end)))
    except OSError as error:
        if http_status(error) == 416:
            return b""
        raise


def http_status(error: BaseException | None) -> int | None:
    """Return the status that a server answered, as aiohttp or botocore keeps it."""
    aiohttp = sys.modules.get("aiohttp")
    while error is not None:
        if aiohttp and isinstance(error, aiohttp.ClientResponseError):
            return int(error.status)
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        error = error.__cause__
    return None


def _failures() -> tuple[type[Exception], ...]:
    """Return what storage raises: the system's errors, and those of the clients of web servers and S3.

    A client that has not been imported cannot have raised anything.
    """
    clients = {"aiohttp": "ClientError", "botocore.exceptions": "BotoCoreError"}
    return OSError, *(getattr(sys.modules[name], error) for name, error in clients.items() if name in sys.modules)
