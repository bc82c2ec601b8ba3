"""Names: a name as some system wrote it -> the form in which names are compared, and the path that is stored.

macOS writes an umlaut as two characters (NFD), most others as one (NFC): for people one name, for storage two.
"""

import os
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import islice, product
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import InputError
from pipeline.storage.retries import read_bytes

_MOST_FORMS = 16  # of a remote path, of which each costs a request


def normal(name: str) -> str:
    """Return a name in NFC: what people read as the same name is then equal."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def stored_path(path: Path) -> Path:
    """Find the local file of a path, in whatever form its names are stored; the path as given where there is none.

    Raises:
        InputError: two names of one folder fit, neither of them as given.
    """
    if str(path).isascii() or os.path.lexists(path):
        return path
    parent = stored_path(path.parent)
    if path.name.isascii() or not parent.is_dir():
        return parent / path.name
    found = _names_by_normal(str(parent), parent.stat().st_mtime_ns).get(normal(path.name), (path.name,))
    if len(found) > 1:
        one, other, *_ = found
        raise InputError(f"{parent}: {one!a} and {other!a} are two spellings of one name, {normal(one)}; rename one")
    return parent / found[0]


def read_stored(fs: Any, path: str, *, end: int | None = None) -> bytes:
    """Read a file in whatever form its names are stored; see `read_bytes`.

    Raises:
        FileNotFoundError: there is none.
        InputError: two names fit; see `stored_path`.
    """
    for place in [str(stored_path(Path(path)))] if isinstance(fs, LocalFileSystem) else forms(path):
        with suppress(FileNotFoundError):
            return read_bytes(fs, place, end=end)
    raise FileNotFoundError(path)


def forms(path: str) -> Iterator[str]:
    """List the forms in which a remote path may be stored, as given first: listing a bucket would cost more."""
    yield path
    parts = [dict.fromkeys((normal(part), unicodedata.normalize("NFD", part))) for part in path.split("/")]
    yield from (other for other in islice(map("/".join, product(*parts)), _MOST_FORMS) if other != path)


@lru_cache(maxsize=16)
def _names_by_normal(folder: str, changed_ns: int) -> Mapping[str, tuple[str, ...]]:
    """List a local folder's names by their NFC, anew whenever the folder has changed."""
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted(Path(folder).iterdir()):
        found[normal(path.name)] = (*found.get(normal(path.name), ()), path.name)
    return found
