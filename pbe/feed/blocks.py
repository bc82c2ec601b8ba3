"""Blocks: runs of consecutive samples of a shard -> a window on their bytes.

On local disk a window is the open shard, read by position straight into the caller's arrays. On object storage it is
the block, fetched by one range request ahead of its first use and let go after its last.
"""

import errno
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from pbe.feed.dataset import Shard
from pipeline.storage.folder import Folder

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Block:
    """A run of consecutive samples: the bytes from `start` to `stop` of a shard."""

    shard: Shard
    start: int
    stop: int


class Window(Protocol):
    """Bytes of a shard, by their position in it."""

    def fill(self, offset: int, buffers: Sequence[Bytes]) -> int:
        """Read from a position into one buffer after the other; return the bytes read, fewer where the shard ends."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """Read up to `size` bytes from a position; fewer where the shard ends."""
        ...


class Reader(Protocol):
    """Opens windows, for any thread."""

    @property
    def looks_ahead(self) -> bool:
        """Whether `fetch_ahead` saves time; where it does not, finding out what comes next would only cost some."""
        ...

    def window(self, block: Block) -> Window:
        """Open a block.

        Raises:
            FileNotFoundError: the shard is missing.
            OSError: it cannot be read.
        """
        ...

    def fetch_ahead(self, blocks: Iterable[tuple[Block, int]], *, now: int) -> None:
        """Fetch blocks in the background, and drop those last needed before step `now`.

        Args:
            blocks: each with the last step that needs it.
        """
        ...

    def close(self) -> None:
        """Stop its threads and release its windows."""
        ...


@dataclass(frozen=True)
class FileWindow:
    """An open shard. It closes with the last user's reference, so that no thread reads a closed file."""

    file: BinaryIO

    def fill(self, offset: int, buffers: Sequence[Bytes]) -> int:
        """See Window."""
        return os.preadv(self.file.fileno(), buffers, offset)  # type: ignore[arg-type]

    def read(self, offset: int, size: int) -> bytes:
        """See Window."""
        return os.pread(self.file.fileno(), size, offset)


def open_local(folder: Folder) -> Callable[[Shard], BinaryIO]:
    """Return a function that opens shards of a dataset on this machine's own disk."""
    return lambda shard: Path(folder.path(shard.name)).open("rb", buffering=0)


class FileReader:
    """Reads shards that are local files, or become some in a cache; keeps those last used open.

    Args:
        open_shard: opens a shard, unbuffered.
        kept: how many stay open.
        connections: shards fetched ahead at a time; 0: opening is fast, and nothing is fetched ahead.
    """

    def __init__(self, open_shard: Callable[[Shard], BinaryIO], *, kept: int, connections: int = 0) -> None:
        self._open, self._kept = open_shard, kept
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="fetch") if connections else None
        self._windows: OrderedDict[str, FileWindow] = OrderedDict()
        self._fetching: set[str] = set()
        self._lock = Lock()

    @property
    def looks_ahead(self) -> bool:
        """See Reader."""
        return self._pool is not None

    def window(self, block: Block) -> Window:
        """See Reader."""
        name = block.shard.name
        # Opening may fetch a shard, so it happens outside the lock; two threads that open the same one do no harm.
        with self._lock:
            window = self._windows.get(name)
            if window:
                self._windows.move_to_end(name)
                return window
        window = FileWindow(self._open(block.shard))
        with self._lock:
            self._windows[name] = window
            if len(self._windows) > self._kept:
                self._windows.popitem(last=False)
        return window

    def fetch_ahead(self, blocks: Iterable[tuple[Block, int]], *, now: int) -> None:
        """See Reader; what is dropped is decided by last use, not by `now`."""
        for block, _ in blocks:
            name = block.shard.name
            with self._lock:
                if self._pool and name not in self._windows and name not in self._fetching:
                    self._fetching.add(name)
                    self._pool.submit(self._fetch, block)

    def close(self) -> None:
        """See Reader."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
        self._windows.clear()

    def _fetch(self, block: Block) -> None:
        try:
            self.window(block)  # a failure comes up again where the window is needed
        finally:
            self._fetching.discard(block.shard.name)


@dataclass(frozen=True)
class BlockWindow:
    """A fetched block."""

    start: int
    content: Bytes

    def fill(self, offset: int, buffers: Sequence[Bytes]) -> int:
        """See Window."""
        done = 0
        for buffer in buffers:
            part = self._part(offset + done, len(buffer))
            buffer[: len(part)] = part
            done += len(part)
        return done

    def read(self, offset: int, size: int) -> bytes:
        """See Window."""
        return self._part(offset, size).tobytes()

    def _part(self, offset: int, size: int) -> Bytes:
        begin = offset - self.start
        return self.content[begin : begin + size] if begin >= 0 else self.content[:0]


class RangeReader:
    """Reads shards by range requests, one a block."""

    looks_ahead = True

    def __init__(self, folder: Folder, *, connections: int) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="fetch")
        self._fetched: dict[Block, tuple[Future[BlockWindow], int]] = {}
        self._lock = Lock()

    def window(self, block: Block) -> Window:
        """See Reader."""
        with self._lock:
            fetched = self._fetched.get(block)
        return fetched[0].result() if fetched else self._fetch(block)

    def fetch_ahead(self, blocks: Iterable[tuple[Block, int]], *, now: int) -> None:
        """See Reader."""
        # Dropping comes first: it frees memory that the new blocks take.
        with self._lock:
            for block in [block for block, (_, until) in self._fetched.items() if until < now]:
                del self._fetched[block]
            for block, until in blocks:
                if block not in self._fetched and until >= now:
                    self._fetched[block] = (self._pool.submit(self._fetch, block), until)

    def close(self) -> None:
        """See Reader."""
        self._pool.shutdown(cancel_futures=True)

    def _fetch(self, block: Block) -> BlockWindow:
        try:
            content = self._folder.read_range(block.shard.name, block.start, block.stop - block.start)
        except OSError as error:
            # Object stores answer a range beyond the end by this errno: the shard is shorter than its index says.
            if errno.EINVAL not in (error.errno, getattr(error.__cause__, "errno", None)):
                raise
            content = b""
        return BlockWindow(block.start, np.frombuffer(content, np.uint8))
