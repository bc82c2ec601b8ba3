"""Weight digests: files of weights -> a digest of their bytes, remembered by sizes and times. Imports no torch."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.shards.recipe import digest_of
from pipeline.storage.folder import Folder
from pipeline.storage.whole_files import sha256_of
from pipeline.tensors.weight_files import FOLDER_SUFFIXES

_READ = (".json", ".txt", *FOLDER_SUFFIXES)  # configs, a tokenizer's words, weights
_UNUSED = "safety_checker"


def digest_files(files: Sequence[Path], *, cache: str) -> str:
    """Digest the bytes of files, wherever they lie: equal for copies, 1.5 s a GB.

    Args:
        files: in any order; all of them are there.
        cache: a folder that remembers the digest until a file's size or time changes; empty: none.
    """
    stamps = sorted([str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns] for file in files)
    place = f"weights/{digest_of(stamps)}.json"
    known = _recall(cache, place)
    if known:
        return known
    digest = digest_of(sorted([file.name, sha256_of(file)] for file in files))
    if cache:
        Folder(cache).write_json(place, digest)
    return digest


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


def _recall(cache: str, place: str) -> str:
    """What an earlier run found; empty: nothing, or a file cut short, which is as good as missing."""
    content = Folder(cache).read_if_there(place) if cache else None
    with suppress(ValueError):
        known = json.loads(content or b"null")
        return known if isinstance(known, str) else ""
    return ""
