"""Copies: places of photos that lie in several -> a count where these hold the same bytes, else a refusal."""

import functools
import hashlib
import os
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError
from pipeline.photos.bounded_reads import MAX_PHOTO_BYTES
from pipeline.storage.names import normal
from pipeline.storage.retries import read_bytes
from pipeline.storage.urls import filesystem
from schemas.plan import PLACES

HASHERS = 8
SHOWN_PHOTOS = 3


@dataclass(frozen=True)
class _Place:
    """Where a photo lies; `file` tells apart what is stored more than once."""

    name: str
    archive: str
    offset: int | None
    size: int
    file: tuple[object, ...]


@dataclass
class Copies:
    """What was found of photos that lie in several places.

    Attributes:
        equal: photos all of whose places hold the same bytes.
        different: photos whose places do not.
    """

    anonymous: bool
    equal: int = 0
    different: int = 0
    _shown: list[str] = field(default_factory=list)

    def compare(self, places: pa.Table) -> None:
        """Compare the places of some photos: sizes first; bytes are read only while all sizes are equal.

        Args:
            places: PLACES, all those of each of these photos.
        """
        photos: dict[str, dict[tuple[object, ...], _Place]] = defaultdict(dict)
        for row in places.to_pylist():
            place = _look_at(row)
            if place:
                photos[row["image_id"]].setdefault(place.file, place)
        same_size = {}
        for image_id, found in photos.items():
            several = list(found.values())
            if len({place.size for place in several}) > 1:
                self._note_different(image_id, several)
            elif len(several) > 1:
                same_size[image_id] = several
        if self.different:
            return
        with ThreadPoolExecutor(HASHERS) as pool:
            equal = pool.map(functools.partial(_hold_the_same, anonymous=self.anonymous), same_size.values())
            for (image_id, several), same in zip(same_size.items(), equal, strict=True):
                if same:
                    self.equal += 1
                else:
                    self._note_different(image_id, several)

    def refuse(self) -> None:
        """Refuse photos whose places hold other bytes.

        Raises:
            InputError: naming the first of them and their places.
        """
        if self.different:
            more = f"; and {self.different - len(self._shown):,} more" if self.different > len(self._shown) else ""
            raise InputError(
                f"--images: {self.different:,} photos lie in several places that hold other bytes: "
                f"{'; '.join(self._shown)}{more}; leave one file for an id: give only the folder that is meant, move "
                "the other files away, or name photos by their path in the box tables (train/ID)"
            )

    def _note_different(self, image_id: str, places: list[_Place]) -> None:
        self.different += 1
        if len(self._shown) < SHOWN_PHOTOS:
            looks = Counter(map(normal, {place.name for place in places}))
            alike = {name for name, spellings in looks.items() if spellings > 1}  # to be told apart by their characters
            names = [ascii(place.name) if normal(place.name) in alike else place.name for place in places]
            shown = [f"{name} ({place.size:,} bytes)" for name, place in zip(names, places, strict=True)]
            self._shown.append(f"{image_id} in {' and '.join(shown)}")


def refuse_other_copies(places: Iterable[pa.Table], image_ids: pa.Array, *, anonymous: bool) -> None:
    """Refuse some photos where one of them lies in several places that hold other bytes.

    Args:
        places: PLACES, of these photos and others.
        image_ids: of few photos.

    Raises:
        InputError: naming the first of them and their places.
    """
    copies = Copies(anonymous)
    known = [table.filter(pc.is_in(table["image_id"], value_set=image_ids)) for table in places]
    copies.compare(pa.concat_tables([PLACES.empty_table(), *known]))
    copies.refuse()


def _look_at(row: dict[str, Any]) -> _Place | None:
    """Look up how large a file is; None where it is none, and would not be read."""
    if row["archive_offset"] is not None:
        file = (row["archive"], row["archive_offset"])
        name = f"{row['archive']}: {row['member']}"
        return _Place(name, row["archive"], row["archive_offset"], row["archive_size"], file)
    try:
        found = os.stat(row["archive"])  # noqa: PTH116  a path and its links to be told apart by their inode
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return _Place(row["archive"], row["archive"], None, found.st_size, (found.st_dev, found.st_ino))


def _hold_the_same(places: Iterable[_Place], *, anonymous: bool) -> bool:
    """Whether places of equal size hold the same bytes; too large ones are dropped, whatever they hold."""
    digests = set()
    for place in places:
        if place.size > MAX_PHOTO_BYTES:
            return True
        fs, path = filesystem(place.archive, anonymous=anonymous)
        start = place.offset or 0
        try:
            data = read_bytes(fs, path, start=start, end=start + place.size) if place.size else b""
        except OSError as error:
            raise InputError(f"--images {place.name}: cannot be read ({error}); check its rights") from error
        digests.add(hashlib.sha256(data).digest())
    return len(digests) == 1
