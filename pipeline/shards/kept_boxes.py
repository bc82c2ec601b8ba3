"""Kept boxes: plan and records -> how many boxes photos keep, and how many of these any number of draws takes.

A photo's draws take its kept boxes in a permutation, cycled: d draws of a photo that keeps k boxes take min(d, k) of
them. So the share that is drawn follows from how many photos keep how many boxes.
"""

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.planning.plan_files import PLAN, read_unit_boxes, read_units
from pipeline.shards.recipe import Json
from pipeline.shards.records import READERS
from pipeline.storage.folder import Folder
from pipeline.storage.retries import with_retries
from schemas.shards import UnitRecord, record_path

TABLE_DRAWS = (1, 2, 4, 8, 10, 20, 40)
PHOTOS_BY_BOXES = "photos_by_boxes"  # of the totals: number of kept boxes -> photos; earlier versions wrote none


def count_photos_by_boxes(out: Folder, records: Iterable[UnitRecord]) -> dict[str, int]:
    """Count the photos that are not lost by how many boxes they keep; one unit at a time is in a thread's memory.

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

    def count(unit: Json) -> Counter[int]:
        photos = _planned_ids(out, unit).value_counts()
        names, boxes = photos.field("values"), photos.field("counts")
        if unit["unit"] in losing:
            boxes = boxes.filter(pc.invert(pc.is_in(names, value_set=_lost_ids(out, losing[unit["unit"]]))))
        return Counter(boxes.to_pylist())

    total = Counter[int]()
    with ThreadPoolExecutor(READERS) as pool:
        for counted in pool.map(count, read_units(out).to_pylist()):
            total.update(counted)
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


def _planned_ids(out: Folder, unit: Json) -> pa.Array:
    """Read the image ids of a unit's planned boxes.

    Raises:
        InputError: they are missing or damaged.
    """
    file, row_group = unit["file"], unit["row_group"]
    try:
        table = with_retries(lambda: read_unit_boxes(out, file=file, row_group=row_group, columns=["image_id"]))
    except (pa.ArrowException, FileNotFoundError, IndexError) as error:
        raise InputError(
            f"{out.url}/{PLAN}/{file}: cannot be read ({error}); remove {PLAN} there and run the same command again, "
            "which plans anew"
        ) from error
    return table["image_id"].combine_chunks()


def _lost_ids(out: Folder, record: UnitRecord) -> pa.Array:
    """Read the ids of the photos that a unit lost.

    Raises:
        InputError: its drops are missing or damaged.
    """
    name = record.drops.name
    try:
        table = pq.ParquetFile(pa.BufferReader(out.read(name))).read(["stage", "image_id"])
    except (pa.ArrowException, FileNotFoundError) as error:
        made_by = record_path(record.unit, record.draw)
        raise InputError(
            f"{out.url}/{name}: cannot be read ({error}); remove {made_by} there and run the same command again, which "
            "makes it anew"
        ) from error
    return table.filter(pc.equal(table["stage"], "photo"))["image_id"].combine_chunks()


def _percent(part: int, whole: int) -> str:
    """Write a share to one digit, rounded down: `100.0 %` is all."""
    return f"{1000 * part // whole / 10} %" if whole else "none"
