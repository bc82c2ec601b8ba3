"""URLs: a path or URL -> its filesystem.

A local path is a name, whatever characters it has. What begins with a scheme and `://` is a URL. `::` chains URLs where
a scheme that wraps files stands before it, as in `zip://a.csv::s3://bucket/tables.zip`; chains are only read.
"""

import os
import re
import tarfile
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import InputError
from pipeline.storage.s3_listings import speed_up_listings

# How long a web server may take to connect, and to send each piece.
CONNECT_SECONDS, READ_SECONDS = 15, 60
WEB = ("http://", "https://")
_ARCHIVES, _CACHES = ("zip", "tar", "libarchive"), ("simplecache", "filecache", "blockcache", "cached")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOCAL, _HERE = ("file", "local"), LocalFileSystem()
_NO_PLACE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/*")


def filesystem(url: str, *, anonymous: bool = False) -> tuple[Any, str]:
    """Open the filesystem of a path, a URL or a chain of URLs.

    Args:
        anonymous: read a public bucket without credentials (s3 and gs only).

    Returns:
        The fsspec filesystem and the URL's path on it; a local one is absolute.

    Raises:
        InputError: the URL's scheme is unknown, its package is not installed, or it holds NUL.
    """
    _refuse_no_place(url)
    try:
        if is_chain(url):
            return _open_chain(url, anonymous)
        scheme = scheme_of(url)
        if not scheme or scheme in _LOCAL:
            return _HERE, _local_path(url)
        kind = fsspec.get_filesystem_class(scheme)
        fs = fsspec.filesystem(scheme, **{**kind._get_kwargs_from_urls(url), **_options(url, anonymous)})
    except (ValueError, ImportError) as error:
        raise InputError(f"{url}: {error}") from error
    if scheme in ("s3", "s3a"):
        speed_up_listings(fs)
    return fs, str(kind._strip_protocol(url))


def is_local(url: str) -> bool:
    """Whether the URL lies on this machine's own filesystem."""
    return isinstance(filesystem(url)[0], LocalFileSystem)


def is_web(url: str) -> bool:
    """Whether it is the URL of a web server, in which whoever writes it percent-encodes names."""
    return url.startswith(WEB)


def scheme_of(url: str) -> str:
    """Return the scheme of a URL; empty: it is a local path."""
    scheme = _SCHEME.match(url)
    return scheme[1] if scheme else ""


def is_chain(url: str) -> bool:
    """Whether it chains URLs: a scheme that wraps files stands before the first `::`. A file may be called `zip::a`."""
    head, chained, _ = url.partition("::")
    return bool(chained) and "://" in url and head.partition("://")[0] in _ARCHIVES + _CACHES


def absolute(url: str) -> str:
    """Make a local path absolute, also at the end of a chain; leave other URLs as they are."""
    if is_chain(url):
        head, _, rest = url.partition("::")
        return f"{head}::{'file://' if is_local(rest) else ''}{absolute(rest)}"
    return filesystem(url)[1] if is_local(url) else url.rstrip("/")


def absolute_output(flag: str, url: str) -> str:
    """Make the path of an output absolute.

    Raises:
        InputError: it is a chain of URLs.
    """
    if is_chain(url):
        raise InputError(f"{flag} {url}: a chain of URLs can only be read; give the place to write to")
    return absolute(url)


def _local_path(url: str) -> str:
    """Return the absolute path of a local name; `~/` is the user's home, `..` stays."""
    path = url
    if scheme := _SCHEME.match(url):
        path = _decoded(url[scheme.end() :])
    elif url == "~" or url.startswith("~/"):
        path = str(Path(url).expanduser())
    return str(Path(path).absolute())


def _decoded(path: str) -> str:
    """Decode a path of `file://` where only what it encodes is there: fsspec takes it as it stands, browsers encode."""
    decoded = unquote(path)
    for plain, other in ((path, decoded), (str(Path(path).parent), str(Path(decoded).parent))):
        if os.path.lexists(plain) or os.path.lexists(other):
            return path if os.path.lexists(plain) else decoded
    return path


@lru_cache(maxsize=16)
def _open_chain(url: str, anonymous: bool) -> tuple[Any, str]:
    """Open a chain link by link: fsspec would take each `::` for a border, also one in a name."""
    head, _, rest = url.partition("::")
    inner, place = filesystem(rest, anonymous=anonymous)
    scheme, _, path = head.partition("://")
    try:
        if scheme in _ARCHIVES:
            return fsspec.filesystem(scheme, fo=inner.open(place), skip_instance_cache=True), path.rstrip("/")
        return fsspec.filesystem(scheme, fs=inner), path or place
    except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise InputError(f"{url}: cannot be opened ({type(error).__name__}: {error}); check each part of it") from error


def _options(url: str, anonymous: bool) -> dict[str, Any]:
    """What a filesystem is opened with."""
    if is_web(url):
        import aiohttp  # here, since most jobs never meet a web server

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        return {"client_kwargs": {"timeout": timeout}}
    if anonymous and url.startswith("s3://"):
        return {"anon": True}
    return {"token": "anon"} if anonymous and url.startswith(("gs://", "gcs://")) else {}


def _refuse_no_place(url: str) -> None:
    """Refuse a scheme with nothing behind it, and what no disk has as a name.

    Raises:
        InputError: saying so.
    """
    scheme = _NO_PLACE.fullmatch(url)
    if scheme and (url.endswith("/") or scheme[1] in fsspec.available_protocols()):
        raise InputError(f"{url}: names a kind of storage, but no place in it; is a variable unset?")
    if "\0" in url:
        raise InputError(f"{url!r}: holds a NUL character, which no name has; write it again")
