"""Globs: a name or a quoted pattern -> the URLs that it means, sorted; and all files below a local folder."""

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from pipeline.errors import InputError
from pipeline.storage.retries import with_retries
from pipeline.storage.urls import filesystem, is_chain, is_web, scheme_of


def expand(pattern: str, *, anonymous: bool = False) -> list[str]:
    """List the files that a URL or glob names, sorted by name.

    What is there under the name as given is meant by it; so is each folder before the first that is not.

    Raises:
        InputError: nothing matches.
    """
    marks = "*[" if is_web(pattern) else "*?["  # a ? begins a URL's query
    if not any(mark in pattern for mark in marks):
        return [pattern]
    fs, path = filesystem(pattern, anonymous=anonymous)
    try:
        folder, rest = _literal_part(fs, path, marks)
        matches = sorted(_matches(fs, folder, rest)) if rest else []
    except OSError as error:
        raise InputError(f"{pattern}: cannot be listed ({error}); check the address and the credentials") from error
    if not rest:
        return [pattern]
    if not matches:
        raise InputError(f"{pattern}: no file matches; check the pattern, quoted so that the shell leaves it alone")
    return [_url(pattern, fs, match) for match in matches]


def files_below(root: str) -> Iterator[Path]:
    """List the files below a local folder, also where one of its folders is a link to another disk."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        seen.add(os.path.realpath(folder))
        folders[:] = [name for name in folders if os.path.realpath(f"{folder}/{name}") not in seen]  # links in a circle
        yield from (Path(folder, name) for name in names)


def _literal_part(fs: Any, path: str, marks: str) -> tuple[str, str]:
    """Cut a path before its first part that is a pattern: that has marks, and is no name that is there."""
    parts = path.split("/")
    for place, part in enumerate(parts):
        here = "/".join(parts[: place + 1])
        if any(mark in part for mark in marks) and not with_retries(partial(fs.exists, here)):
            return "/".join(parts[:place]), "/".join(parts[place:])
    return path, ""


def _matches(fs: Any, folder: str, pattern: str) -> list[str]:
    """List what matches a pattern below a folder, whose own name is none.

    Raises:
        InputError: the pattern is none.
    """
    try:
        if isinstance(fs, LocalFileSystem):
            return list(map(str, Path(folder or "/").glob(pattern)))
        fits = re.compile(glob_translate(pattern)).match
    except ValueError as error:
        raise InputError(f"{pattern}: {error}") from error
    prefix = f"{folder}/" if folder else ""
    depth = None if "**" in pattern else pattern.count("/") + 1
    found = with_retries(lambda: fs.find(folder, maxdepth=depth, withdirs=True))
    return [path for path in (str(name).rstrip("/") for name in found) if fits(path.removeprefix(prefix))]


def _url(pattern: str, fs: Any, match: str) -> str:
    """Return the URL of a match, in the chain that the pattern may be."""
    if is_chain(pattern):
        head, _, rest = pattern.partition("::")
        scheme, _, inner = head.partition("://")
        address = f"{scheme_of(rest)}://{match}" if scheme_of(rest) else match
        return f"{scheme}://{match}::{rest}" if inner else f"{head}::{address}"
    return match if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(match))
