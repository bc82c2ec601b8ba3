"""Cards: index rows -> what the page shows of each sample: small pictures, outlines, facts in words."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboards.pictures import PictureReader, SampleError, SamplePictures
from pipeline.ahead import work_ahead
from pipeline.draws.exemplars import describe_augmentation
from pipeline.draws.jitter import describe_jitter, jitter_of
from pipeline.draws.rings import split_rings
from pipeline.pages.thumbnails import webp_uri
from pipeline.shards.samples import Row

READERS = 8
SOURCE_PX, SOURCE_QUALITY = 224, 60
EXEMPLAR_PX, EXEMPLAR_QUALITY = 112, 60
GRID = 1000  # whole steps along a picture's side, for outlines
CUT_OUT, OWN_PICTURE = "cut from the photo", "a picture of its own"


@dataclass(frozen=True)
class CardPictures:
    """A sample's pictures as data URIs, and where its source comes from (a key of ORIGINS) with a note, if any."""

    source: str
    exemplar: str
    augmented: str
    origin: str
    note: str


@dataclass(frozen=True)
class Card:
    """A sample as the page shows it.

    Args:
        row: of the index, with QUALITY.
        pictures: None where its shard is gone or damaged; `problem` then says so.
        box: x, y, width, height in GRID steps, cut to the crop.
        outline: the mask as an SVG path in GRID steps, to be filled by the even-odd rule.
        exemplar: where it comes from, in words.
        augmentation, jitter: in words; of a sample that is not jittered empty.
    """

    row: Row
    pictures: CardPictures | None
    problem: str
    box: tuple[int, int, int, int]
    outline: str
    exemplar: str
    augmentation: str
    jitter: str


def make_cards(rows: Sequence[Row], reader: PictureReader) -> Iterator[Card]:
    """Read samples on threads and make their cards, in order."""
    with ThreadPoolExecutor(READERS) as pool:
        yield from work_ahead(pool, lambda row: make_card(row, reader), rows, ahead=2 * READERS)


def make_card(row: Row, reader: PictureReader) -> Card:
    """Make the card of one sample; of one that cannot be read, a card that says why."""
    pictures, problem = None, ""
    try:
        pictures = _shrink(reader.read(row))
    except SampleError as error:
        problem = str(error)
    return Card(
        row=row,
        pictures=pictures,
        problem=problem,
        box=_box(row["box_in_crop"]),
        outline=outline(row["mask_polygon"]),
        exemplar=CUT_OUT if any(row["exemplar_box"]) else OWN_PICTURE,
        augmentation=describe_augmentation(row["augmentation"]),
        jitter=describe_jitter(jitter_of(row)),
    )


def outline(polygon: Sequence[float]) -> str:
    """Write a stored polygon as an SVG path: one closed line for each of its rings.

    Args:
        polygon: x y pairs, shares of the crop.
    """
    points = np.array(polygon, np.float64).reshape(-1, 2)
    return "".join(f"M{' '.join(map(str, _steps(ring)))}Z" for ring in split_rings(points))


def _steps(ring: Any) -> list[int]:
    """Bring a ring to the page's grid, without the points that fall onto the one before."""
    steps = np.rint(np.asarray(ring) * GRID).astype(int)
    moved = np.any(np.diff(steps, axis=0, prepend=steps[:1] - 1), axis=1)
    return [int(value) for value in steps[moved].ravel()]


def _box(shares: Sequence[float]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(min(1.0, max(0.0, share)) * GRID) for share in shares)
    return left, top, right - left, bottom - top


def _shrink(pictures: SamplePictures) -> CardPictures:
    exemplars = {"width": EXEMPLAR_PX, "quality": EXEMPLAR_QUALITY}
    return CardPictures(
        source=webp_uri(pictures.source, width=SOURCE_PX, quality=SOURCE_QUALITY),
        exemplar=webp_uri(pictures.exemplar, **exemplars),
        augmented=webp_uri(pictures.augmented, **exemplars),
        origin=pictures.origin,
        note=pictures.note,
    )
