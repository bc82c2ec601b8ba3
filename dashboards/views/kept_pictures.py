"""Kept pictures: a name and how to make its picture -> the picture, made again only once it was long not asked for."""

import threading
from collections.abc import Callable

import cachetools

KEPT_BYTES = 256 << 20

Media = tuple[bytes, str]  # content and media type


class KeptPictures:
    """The pictures last asked for, up to KEPT_BYTES; safe for several threads."""

    def __init__(self) -> None:
        self._kept: cachetools.LRUCache[str, Media] = cachetools.LRUCache(KEPT_BYTES, getsizeof=lambda m: len(m[0]))
        self._lock = threading.Lock()

    def get(self, name: str, make: Callable[[], Media | None]) -> Media | None:
        """Return the picture of a name, made where it is not kept; None is not kept.

        Raises:
            whatever `make` raises; nothing is kept then.
        """
        with self._lock:
            made = self._kept.get(name)
        if made is None:
            made = make()
            if made is not None:
                with self._lock:
                    self._kept[name] = made
        return made
