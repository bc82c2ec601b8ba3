"""URLs: a path or URL -> its filesystem."""

import re
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import InputError
from pipeline.storage.s3_listings import speed_up_listings

# How long a web server may take to connect, and to send each piece.
CONNECT_SECONDS, READ_SECONDS = 15, 60
_NO_PLACE = re.compile(r"[a-z][a-z0-9+]*:/*")


def filesystem(url: str, *, anonymous: bool = False) -> tuple[Any, str]:
    """Open the filesystem of a URL.

    Args:
        anonymous: read a public bucket without credentials (s3 and gs only).

    Returns:
        The fsspec filesystem and the URL's path on it.

    Raises:
        InputError: the URL's scheme is unknown, or its package is not installed.
    """
    options: dict[str, Any] = {"anon": True} if anonymous and url.startswith("s3://") else {}
    if anonymous and url.startswith(("gs://", "gcs://")):
        options = {"token": "anon"}
    if url.startswith(("http://", "https://")):
        import aiohttp  # here, since most jobs never meet a web server

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        options = {"client_kwargs": {"timeout": timeout}}
    if _NO_PLACE.fullmatch(url):
        raise InputError(f"{url}: names a kind of storage, but no place in it; is a variable unset?")
    try:
        fs, path = fsspec.core.url_to_fs(url, **options)
    except (ValueError, ImportError) as error:
        raise InputError(f"{url}: {error}") from error
    if url.startswith(("s3://", "s3a://")):
        speed_up_listings(fs)
    return fs, path


def is_local(url: str) -> bool:
    """Whether the URL lies on this machine's own filesystem."""
    return isinstance(filesystem(url)[0], LocalFileSystem)


def absolute(url: str) -> str:
    """Make a local path absolute; leave other URLs as they are."""
    return str(Path(filesystem(url)[1]).absolute()) if is_local(url) else url.rstrip("/")
