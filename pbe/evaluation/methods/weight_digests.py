"""Weight digests: files of weights -> a digest of their bytes, remembered by sizes and times. Imports no torch."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pipeline.shards.recipe import digest_of
from pipeline.storage.folder import Folder
from pipeline.storage.whole_files import sha256_of
from pipeline.tensors.weight_files import FOLDER_SUFFIXES

_READ = (".json", ".txt", *FOLDER_SUFFIXES)  # configs, a tokenizer's words, weights
_UNUSED = "safety_checker"

Found = TypeVar("Found")


def digest_files(files: Sequence[Path], *, cache: str) -> str:
    """Digest the bytes of files, wherever they lie: equal for copies, 1.5 s a GB.

    Args:
        files: in any order; all of them are there.
        cache: a folder that remembers the digest until a file's size or time changes; empty: none.
    """
    return remembered(files, "digest", lambda: _digest_bytes(files), kind=str, cache=cache)


def remembered(files: Sequence[Path], what: str, find: Callable[[], Found], *, kind: type[Found], cache: str) -> Found:
    """Find something out about files, or recall what an earlier run has found, until a file's size or time changes.

    Args:
        what: it is, as a file may be called.
        kind: of the answer, as JSON has it.
        cache: a folder; empty: none.
    """
    stamps = sorted([str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns] for file in files)
    place = f"weights/{digest_of(stamps)}-{what}.json"
    known = _recall(cache, place)
    if isinstance(known, kind):
        return known
    found = find()
    if cache:
        Folder(cache).write_json(place, found)
    return found


def digest_model(model: str, folder: Path | None, *, cache: str) -> str:
    """Digest a model: what its file or its folder's parts hold, or its id and commit on the hub.

    Args:
        model: a file, a folder or a hub id.
        folder: that holds its configs, in the hub's cache where it is an id; None: it is a file.
        cache: see `digest_files`.
    """
    if folder is None:
        return digest_files([Path(model)], cache=cache)
    if not Path(model).exists():
        commit = folder.parts[folder.parts.index("snapshots") + 1]
        return f"{model}@{commit}"
    files = [file for file in folder.glob("*/*") if file.suffix in _READ and file.parent.name != _UNUSED]
    return digest_files(files, cache=cache)


def _digest_bytes(files: Sequence[Path]) -> str:
    return digest_of(sorted([file.name, sha256_of(file)] for file in files))


def _recall(cache: str, place: str) -> Any:
    """What an earlier run found; None: nothing, or a file cut short, which is as good as missing."""
    content = Folder(cache).read_if_there(place) if cache else None
    with suppress(ValueError):
        return json.loads(content or b"null")
    return None
