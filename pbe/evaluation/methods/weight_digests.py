"""Weight digests: files of weights -> a digest of their bytes, remembered by sizes and times. Imports no torch."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.shards.recipe import digest_of
from pipeline.storage.folder import Folder
from pipeline.storage.whole_files import sha256_of


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


def _recall(cache: str, place: str) -> str:
    """What an earlier run found; empty: nothing, or a file cut short, which is as good as missing."""
    content = Folder(cache).read_if_there(place) if cache else None
    with suppress(ValueError):
        known = json.loads(content or b"null")
        return known if isinstance(known, str) else ""
    return ""
