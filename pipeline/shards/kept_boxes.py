"""Kept boxes: plan and records -> how many boxes photos keep, and how many of these any number of draws takes.

A photo's draws take its kept boxes in a permutation, cycled: d draws of a photo that keeps k boxes take min(d, k) of
them. So the share that is drawn follows from how many photos keep how many boxes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.planning.plan_files import PLAN, read_units
from pipeline.shards.recipe import Json
from pipeline.storage.folder import Folder
from pipeline.storage.tables import open_parquet
from schemas.shards import UnitRecord, record_path

FILES_AT_ONCE = 4  # of 10 to 20 MB
TABLE_DRAWS = (1, 2, 4, 8, 10, 20, 40)
PHOTOS_BY_BOXES = "photos_by_boxes"  # of the totals: number of kept boxes -> photos; earlier versions wrote none


def count_photos_by_boxes(out: Folder, records: Iterable[UnitRecord]) -> dict[str, int]:
    """Count the photos that are not lost by how many boxes they keep.

    The plan is read file by file, a few at a time, each by one request.

    Args:
        out: with its plan.
        records: of all units and draws.

    Returns:
        Number of kept boxes, as text for JSON -> photos.

    Raises:
        InputError: a file of the plan, or of drops, is missing or damaged.
    """
    # All draws of a unit lose the same photos.
    losing = {record.unit: record for record in records if record.draw == 0 and record.photos_lost}

    files: dict[str, list[Json]] = {}
    for unit in read_units(out).to_pylist():
        files.setdefault(unit["file"], []).append(unit)

    def count(file: str) -> Counter[int]:
        counted = Counter[int]()
        for unit, ids in zip(files[file], _planned_ids(out, file, files[file]), strict=True):
            photos = ids.value_counts()
            names, boxes = photos.field("values"), photos.field("counts")
            if unit["unit"] in losing:
                boxes = boxes.filter(pc.invert(pc.is_in(names, value_set=_lost_ids(out, losing[unit["unit"]]))))
            counted.update(boxes.to_pylist())
        return counted

    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        total = sum(pool.map(count, files), Counter[int]())
    return {str(boxes): photos for boxes, photos in sorted(total.items())}


def boxes_drawn(photos_by_boxes: dict[str, int], draws: int) -> int:
    """Count the boxes that so many draws take: the sum of min(boxes, draws) over the photos."""
    return sum(min(int(boxes), draws) * photos for boxes, photos in photos_by_boxes.items())


def share_drawn(totals: Json) -> str:
    """Say which share of the kept boxes of its photos, without the lost ones, a dataset has drawn."""
    return _percent(totals["boxes_drawn"], totals["boxes_drawn"] + totals["boxes_not_drawn"])


def share_table(totals: Json) -> dict[int, str]:
    """Say which share other numbers of draws take of the same plan; empty: an earlier version did not count."""
    photos = totals.get(PHOTOS_BY_BOXES, {})
    kept = totals["boxes_drawn"] + totals["boxes_not_drawn"]
    return {draws: _percent(boxes_drawn(photos, draws), kept) for draws in TABLE_DRAWS if photos}


def draws_off(totals: Json, records: Iterable[UnitRecord]) -> list[str]:
    """Compare what the photos' boxes say of each draw with its records; a line for each draw that is off.

    Draw d is the first to take a box in the photos that keep more than d.
    """
    by_draw = Counter[int]()
    for record in records:
        by_draw[record.draw] += record.boxes_drawn
    photos = totals.get(PHOTOS_BY_BOXES, {})
    told = {draw: sum(n for boxes, n in photos.items() if int(boxes) > draw) for draw in by_draw if photos}
    return [
        f"{PHOTOS_BY_BOXES}: {count} with more than {draw} boxes, the records of draw {draw} have {by_draw[draw]}"
        for draw, count in sorted(told.items())
        if count != by_draw[draw]
    ]


def _planned_ids(out: Folder, file: str, units: list[Json]) -> Iterator[pa.Array]:
    """Read the image ids of the planned boxes of a file's units, unit by unit; see _opened."""
    with _opened(out, f"{PLAN}/{file}", remove=PLAN) as opened:
        for unit in units:
            yield opened.read_row_group(unit["row_group"], ["image_id"], use_threads=False)["image_id"].combine_chunks()


def _lost_ids(out: Folder, record: UnitRecord) -> pa.Array:
    """Read the ids of the photos that a unit lost; see _opened."""
    with _opened(out, record.drops.name, remove=record_path(record.unit, record.draw)) as opened:
        table = opened.read(["stage", "image_id"], use_threads=False)
        return table.filter(pc.equal(table["stage"], "photo"))["image_id"].combine_chunks()


@contextmanager
def _opened(out: Folder, name: str, *, remove: str) -> Iterator[pq.ParquetFile]:  # noqa: TID251 - a type
    """Open a table that is read by one request.

    Args:
        remove: what to remove, so that it is made anew.

    Raises:
        InputError: it is missing or damaged.
    """
    content = out.read_if_there(name) or b""
    try:
        yield open_parquet(pa.BufferReader(content))
    except (pa.ArrowException, OSError, IndexError) as error:
        advice = f"remove {remove} there and run the same command again, which makes it anew"
        raise InputError(f"{out.url}/{name}: cannot be read ({' '.join(str(error).split())}); {advice}") from error


def _percent(part: int, whole: int) -> str:
    """Write a share to one digit, rounded down: `100.0 %` is all."""
    return f"{1000 * part // whole / 10} %" if whole else "none"
