"""Blocks: the photos of two sides -> what came of comparing them, block by block; finished ones are kept.

One side is held in memory, PART_PHOTOS at a time; the other one streams past it, BLOCK_PHOTOS to a block.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from pbe.evaluation.overlap.comparing import RADIUS, KnownPhotos
from pbe.evaluation.overlap.greys import Greys, read_greys
from pbe.evaluation.overlap.sides import Row, Side
from pipeline.ahead import work_ahead
from pipeline.errors import PhotoError
from pipeline.photos.fingerprints import photo_sha256
from pipeline.storage.folder import Folder
from schemas.overlap import BLOCKS

PART_PHOTOS = 4000  # 1 GB of greys, keypoints and hashes
BLOCK_PHOTOS = 500
RULES = 1  # raise it when the same photos would give other results
FLAT = "flat"
Advance = Callable[[int], Any]


@dataclass(frozen=True)
class Block:
    """What came of some photos.

    Args:
        matches: `photo` and the fields of Match.
        lost: name and reason of each photo that could not be compared.
        digest: sha256 of names and bytes of the others.
    """

    photos: int
    digest: str
    matches: tuple[dict[str, Any], ...] = ()
    lost: tuple[tuple[str, str], ...] = ()
    hits: int = 0
    aligned: int = 0
    plain: int = 0


@dataclass(frozen=True)
class Search:
    """Where results are kept, and how many photos are decoded at once."""

    out: Folder
    name: str
    pool: ThreadPoolExecutor = field(repr=False)
    workers: int

    def hold(self, side: Side, part: int) -> tuple[KnownPhotos, Block]:
        """Read a part of the side that is held in memory."""
        names, greys, lost, seen = [], [], [], hashlib.sha256()
        rows = part_rows(side, part, PART_PHOTOS)
        for row, sha256, photo in self._read(side, rows):
            if isinstance(photo, Greys):
                names.append(row["name"])
                greys.append(photo)
                seen.update(f"{row['name']}\0{sha256}\n".encode())
            else:
                lost.append((row["name"], photo))
        known = KnownPhotos(names, greys)
        lost += [(name, FLAT) for name in known.flat]
        return known, Block(len(rows), seen.hexdigest(), lost=tuple(sorted(lost)))

    def compare(self, side: Side, rows: list[Row], known: KnownPhotos) -> Block:
        """Compare some photos of the streaming side with those in memory."""
        matches, lost, seen = [], [], hashlib.sha256()
        hits = aligned = plain = 0

        def work(row: Row) -> tuple[str, Any]:
            sha256, photo = _read_row(side, row)
            return sha256, known.compare(photo) if isinstance(photo, Greys) else photo

        for row, (sha256, compared) in zip(
            rows, work_ahead(self.pool, work, rows, ahead=2 * self.workers), strict=True
        ):
            if isinstance(compared, str) or compared.flat:
                lost.append((row["name"], compared if isinstance(compared, str) else FLAT))
                continue
            seen.update(f"{row['name']}\0{sha256}\n".encode())
            matches += [{"photo": row["name"], "sha256": sha256, **asdict(match)} for match in compared.matches]
            hits += compared.hits
            aligned += compared.aligned
            plain += compared.plain
        return Block(len(rows), seen.hexdigest(), tuple(matches), tuple(lost), hits, aligned, plain)

    def kept(self, what: str) -> Block | None:
        """Read a finished block; None: there is none, or it was damaged since, and is made anew."""
        content = self.out.read_if_there(self._place(what))
        with suppress(ValueError, KeyError, TypeError):
            block = json.loads(content or b"")
            return Block(**{**block, "matches": tuple(block["matches"]), "lost": tuple(map(tuple, block["lost"]))})
        return None

    def keep(self, what: str, block: Block) -> Block:
        """Keep a finished block."""
        self.out.write_json(self._place(what), asdict(block))
        return block

    def _place(self, what: str) -> str:
        return f"{BLOCKS}/{self.name}/{what}.json"

    def _read(self, side: Side, rows: list[Row]) -> Iterator[tuple[Row, str, Greys | str]]:
        read = work_ahead(self.pool, lambda row: _read_row(side, row), rows, ahead=2 * self.workers)
        for row, (sha256, photo) in zip(rows, read, strict=True):
            yield row, sha256, photo


def search_name(streaming: Side, held: Side) -> str:
    """Name a search by all that decides its results, as far as it shows without reading photos."""
    decided = [RULES, RADIUS, PART_PHOTOS, BLOCK_PHOTOS, streaming.stamp(), held.stamp()]
    return hashlib.sha256(json.dumps(decided).encode()).hexdigest()[:16]


def count_parts(side: Side, size: int) -> int:
    """How many parts, or blocks, of a size a side has."""
    return -(-len(side.photos) // size)


def part_rows(side: Side, part: int, size: int) -> list[Row]:
    """The photos of one part or block."""
    rows: list[Row] = side.photos.slice(part * size, size).to_pylist()
    return rows


def compare_sides(search: Search, streaming: Side, held: Side, *, advance: Advance) -> tuple[list[Block], list[Block]]:
    """Compare all photos of two sides; finished blocks are read instead.

    Args:
        advance: told of photos that are done, of all parts.

    Returns:
        The blocks of the streaming side, for each part again; one block for each part of the other side.
    """
    streamed, parts = [], []
    for part in range(count_parts(held, PART_PHOTOS)):
        known, own = None, search.kept(f"{part:04d}")
        for block in range(count_parts(streaming, BLOCK_PHOTOS)):
            name = f"{part:04d}-{block:06d}"
            done = search.kept(name)
            if done is None or own is None:
                if known is None:
                    known, own = search.hold(held, part)
                    search.keep(f"{part:04d}", own)
                done = search.keep(name, search.compare(streaming, part_rows(streaming, block, BLOCK_PHOTOS), known))
            streamed.append(done)
            advance(done.photos)
        assert own is not None
        parts.append(own)
    return streamed, parts


def _read_row(side: Side, row: Row) -> tuple[str, Greys | str]:
    """Read and decode a photo: sha256 of its bytes, and its greys or why there are none."""
    try:
        data = side.read(row)
        return photo_sha256(data), read_greys(data)
    except PhotoError as error:
        return "", error.reason
