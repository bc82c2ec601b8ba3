"""Globs: a quoted pattern -> the URLs that match, sorted."""

from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import InputError
from pipeline.storage.retries import with_retries
from pipeline.storage.urls import filesystem


def expand(pattern: str, *, anonymous: bool = False) -> list[str]:
    """List the files that a URL or glob names, sorted by name.

    Raises:
        InputError: nothing matches.
    """
    marks = "*[" if pattern.startswith(("http://", "https://")) else "*?["  # a ? begins a URL's query
    if not any(mark in pattern for mark in marks):
        return [pattern]
    fs, path = filesystem(pattern, anonymous=anonymous)
    if isinstance(fs, LocalFileSystem) and Path(path).exists():
        return [pattern]
    try:
        matches = sorted(str(match) for match in with_retries(lambda: fs.glob(path)))
    except OSError as error:
        raise InputError(f"{pattern}: cannot be listed ({error}); check the address and the credentials") from error
    if not matches:
        raise InputError(f"{pattern}: no file matches; check the pattern, quoted so that the shell leaves it alone")
    return [str(fs.unstrip_protocol(match)) if not isinstance(fs, LocalFileSystem) else match for match in matches]
