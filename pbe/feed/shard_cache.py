"""Shard cache: shards on object storage -> complete files on local disk, up to a limit, the least used removed first.

Any number of processes may share one folder: files appear by rename, one process fetches a shard while the others
wait for it, and a file that is removed stays readable for whoever has it open.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pbe.feed.dataset import Shard
from pipeline.errors import InputError
from pipeline.hints import verify_command
from pipeline.storage.file_locks import wait_for_lock
from pipeline.storage.folder import Folder

STALE_SECONDS = 3600  # an unfinished file this old was left by a killed process


@dataclass(frozen=True)
class ShardCache:
    """A bounded folder of fetched shards, named by their sha256.

    Args:
        source: the dataset.
        limit_bytes: of all files together.
    """

    source: Folder
    folder: Path
    limit_bytes: int

    def open(self, shard: Shard) -> BinaryIO:
        """Open a shard, fetching it if it is not here.

        Raises:
            FileNotFoundError: the dataset does not have it.
            OSError: its bytes are not the recorded ones.
            InputError: it is larger than the cache.
        """
        if shard.bytes > self.limit_bytes:
            raise InputError(f"{shard.name} has {shard.bytes:,} bytes, the shard cache {self.limit_bytes:,}; raise it")
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{shard.sha256}.tar"
        while True:
            try:
                os.utime(file)  # which file was used least recently is read off this time
                return file.open("rb", buffering=0)
            except FileNotFoundError:
                self._fetch(shard, file)

    def _fetch(self, shard: Shard, file: Path) -> None:
        """Copy a shard into the cache, by one process at a time, and check its bytes before they appear there."""
        with self._locked(f"fetch-{shard.sha256[:2]}.lock"):
            if file.exists():
                return
            content = self.source.read(shard.name)
            if hashlib.sha256(content).hexdigest() != shard.sha256:
                raise OSError(
                    f"{self.source.url}/{shard.name}: {len(content):,} bytes whose sha256 is not the recorded one; "
                    f"run `{verify_command(self.source.url)}`"
                )
            part = file.with_suffix(".part")
            part.write_bytes(content)
            with self._locked("room.lock"):
                self._make_room(len(content), keep=part)
                part.rename(file)

    def _make_room(self, size: int, *, keep: Path) -> None:
        """Remove the least recently used files until `size` more bytes fit; others may still be writing young parts."""
        files = []
        for path in [*self.folder.glob("*.tar"), *self.folder.glob("*.part")]:
            if path != keep:
                with suppress(FileNotFoundError):
                    stat = path.stat()
                    files.append((stat.st_mtime, stat.st_size, path))
        total = size + sum(file_size for _, file_size, _ in files)
        for used, file_size, path in sorted(files):
            if total > self.limit_bytes and (path.suffix == ".tar" or time.time() - used > STALE_SECONDS):
                path.unlink(missing_ok=True)
                total -= file_size

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Hold a lock file; threads and processes alike wait."""
        with (self.folder / name).open("w") as lock:
            wait_for_lock(lock)
            yield
