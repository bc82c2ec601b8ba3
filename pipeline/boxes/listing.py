"""Listing: what a flag names -> tables, none of them twice."""

import functools
from collections.abc import Iterable, Sequence
from contextlib import suppress

from pipeline.boxes.hashed_files import TableDigest, opened_hashed
from pipeline.errors import InputError
from pipeline.storage.globs import expand
from pipeline.storage.retries import with_retries
from pipeline.storage.urls import filesystem


def list_tables(flag: str, patterns: Iterable[str], *, anonymous: bool) -> list[str]:
    """Resolve globs to tables, in the order given, each glob's matches sorted.

    Raises:
        InputError: nothing matches, or a table is named twice.
    """
    urls = [url for pattern in patterns for url in expand(pattern, anonymous=anonymous)]
    seen: set[str] = set()
    for url in urls:
        if url in seen:
            raise InputError(f"{flag} {url}: is given twice, perhaps by globs that overlap; give each table once")
        seen.add(url)
    return urls


def refuse_copies(flag: str, urls: Sequence[str], *, anonymous: bool) -> None:
    """Refuse tables that hold the same bytes; only tables of equal size are read for that.

    Raises:
        InputError: naming two of them.
    """
    by_size: dict[int, list[str]] = {}
    for url in urls if len(urls) > 1 else ():
        fs, path = filesystem(url, anonymous=anonymous)
        with suppress(OSError):  # whoever reads it next says what is wrong
            by_size.setdefault(with_retries(functools.partial(fs.size, path)) or -1, []).append(url)
    for size, candidates in by_size.items():
        digests: dict[str, str] = {}
        for url in candidates if size > 0 and len(candidates) > 1 else ():
            digest = TableDigest()
            with opened_hashed(url, digest, anonymous=anonymous):
                pass  # read to its end on leaving
            refuse_copy(flag, digests.setdefault(digest.sha256, url), url)


def refuse_copy(flag: str, first: str, second: str) -> None:
    """Refuse two tables of the same bytes, unless they are one.

    Raises:
        InputError: naming both.
    """
    if first != second:
        raise InputError(f"{flag} {second}: holds the same bytes as {first}; give one of them")
