"""Plan: BOXES -> units of photos with their kept boxes, and the drops before units.

The plan decides everything that is random across photos: the order of photos (by seeded hash of their id), the split of
each, the unit it falls into, and the order in which its draws take its boxes. The rows are spilled into hash ranges
first, so that a photo's rows meet wherever they stand in the tables, and memory stays that of one range.
"""

import functools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.ahead import work_ahead
from pipeline.boxes.filters import Rule, first_rule
from pipeline.boxes.tables import MALFORMED, TableDigest, malformed_reason, stream_boxes, stream_columns
from pipeline.errors import InputError
from pipeline.planning.hashing import U64, hash_strings, mix, mix_with, uniform
from pipeline.planning.spill import HASH_COLUMN, Spill, partitioned
from pipeline.rng import seed_for
from pipeline.storage.folder import Folder, filesystem
from schemas.boxes import BOXES, COORDINATE_COLUMNS, FLAG_COLUMNS, ID_COLUMN, LABEL_COLUMN, PLANNED_BOXES
from schemas.drops import DROPS, Drop
from schemas.shards import BOX_DROPS, SPLITS

UNITS_PER_FILE = 64
PARTITION_BYTES = 32 << 20
JUDGING_THREADS = 2
PLAN = "run/plan"

UNITS = pa.schema(
    [
        pa.field("unit", pa.int32()),
        pa.field("split", pa.string()),
        pa.field("photos", pa.int64()),
        pa.field("boxes", pa.int64()),
        pa.field("file", pa.string()),
        pa.field("row_group", pa.int32()),
    ]
)

# Where photos stand in tar files; `archive` is null for photos in folders.
PLACES = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("archive", pa.string()),
        pa.field("archive_offset", pa.int64()),
        pa.field("archive_size", pa.int64()),
    ]
)
ROTATIONS = pa.schema([pa.field("image_id", pa.string()), pa.field("rotation", pa.float32())])


@dataclass
class Plan:
    """What became of every row. rows = malformed + filtered + kept; kept = planned + beyond the limit."""

    rows: int = 0
    malformed: dict[str, int] = field(default_factory=dict)
    filtered: dict[str, int] = field(default_factory=dict)
    kept: int = 0
    photos: int = 0  # with at least one row
    photos_without_kept_box: int = 0
    photos_beyond_limit: int = 0
    boxes_beyond_limit: int = 0
    photos_planned: int = 0
    boxes_planned: int = 0
    units: int = 0
    inputs: list[dict[str, Any]] = field(default_factory=list)  # role, bytes, rows, sha256 of each table
    box_drop_files: int = 0

    def add(self, judged: "_Judged") -> None:
        """Take the counts of one partition."""
        self.malformed = dict(Counter(self.malformed) + judged.malformed)
        self.filtered = dict(Counter(self.filtered) + judged.filtered)
        self.kept += len(judged.kept)
        self.photos += judged.photos
        self.photos_without_kept_box += judged.photos_without_kept_box

    def check(self) -> None:
        """Check that no row is lost.

        Raises:
            AssertionError: a sum is off, which is a fault of this program.
        """
        assert self.rows == sum(self.malformed.values()) + sum(self.filtered.values()) + self.kept, asdict(self)
        assert self.kept == self.boxes_planned + self.boxes_beyond_limit, asdict(self)
        photos = self.photos_without_kept_box + self.photos_beyond_limit + self.photos_planned
        assert self.photos == photos, asdict(self)


@dataclass(frozen=True)
class PlanInputs:
    """What a plan is made of: the tables, and the choices that decide it."""

    tables: tuple[str, ...]
    image_info: tuple[str, ...]
    rules: tuple[Rule, ...]
    seed: int
    split_shares: tuple[float, float, float]
    photos_per_unit: int
    limit: int
    anonymous: bool


def make_plan(
    inputs: PlanInputs,
    *,
    places: Iterable[pa.Table],
    out: Folder,
    accept: Callable[[Plan], None] = lambda plan: None,
    progress: Callable[[int], None] = lambda rows: None,
) -> Plan:
    """Plan a dataset, write the plan under `run/plan` and the drops of its boxes under `drops`.

    Args:
        places: PLACES of photos that lie in tar files.
        accept: called with the finished plan before anything is written; may raise to refuse it.
        progress: told how many rows have been read so far.

    Raises:
        InputError: a table turns out unreadable.
    """
    plan = Plan()
    partitions = max(1, min(4096, sum(_size(url, inputs.anonymous) for url in inputs.tables) // PARTITION_BYTES))
    with tempfile.TemporaryDirectory(prefix="pbe-plan-") as scratch, out.scratch() as built:
        folder = Path(scratch)
        hash_ids = functools.partial(hash_strings, salt=seed_for(inputs.seed, "plan"))
        boxes, wrong_width = _spill_boxes(inputs, plan, folder / "boxes", hash_ids, partitions, progress)
        rotations = _spill_rotations(inputs, plan, folder / "rotations", hash_ids, partitions)
        archived = _spill_places(places, folder / "places", hash_ids, partitions)
        units = _UnitWriter(built, inputs.photos_per_unit)

        def judge_part(part: int) -> _Judged:
            judged = _judge(boxes.read(part), inputs)
            _write_drops(judged.drops, wrong_width if part == 0 else [], built / f"drops-{part}.parquet")
            kept = _photos_in_order(judged.kept, rotations.read(part), archived.read(part), inputs)
            return replace(judged, kept=kept)

        with ThreadPoolExecutor(JUDGING_THREADS) as pool:
            for judged in work_ahead(pool, judge_part, range(partitions), ahead=JUDGING_THREADS):
                plan.add(judged)
                units.add(_cut_at_limit(judged.kept, inputs.limit, plan))
        units.close()
        plan.units, plan.box_drop_files = units.count, partitions
        plan.check()
        accept(plan)
        out.delete(f"{PLAN}/key")  # first: a plan without its key is never taken up
        out.remove(PLAN)
        for name in out.names("drops"):
            if name.endswith(".parquet"):
                out.remove(f"drops/{name}")
        for part in range(partitions):
            out.publish(built / f"drops-{part}.parquet", BOX_DROPS.format(part=part))
        for file in units.files:
            out.publish(file, f"{PLAN}/{file.name}")
    out.write_json(f"{PLAN}/plan.json", asdict(plan))
    return plan


def read_units(out: Folder) -> pa.Table:
    """Read the plan's units, ordered by number."""
    with out.fs.open(out.path(f"{PLAN}/units.parquet"), "rb") as file:
        return pq.read_table(file, schema=UNITS).sort_by("unit")


def read_unit_boxes(out: Folder, *, file: str, row_group: int) -> pa.Table:
    """Read PLANNED_BOXES of one unit, photo after photo."""
    with out.fs.open(out.path(f"{PLAN}/{file}"), "rb") as opened:
        return pq.ParquetFile(opened).read_row_group(row_group)


def _size(url: str, anonymous: bool) -> int:
    fs, path = filesystem(url, anonymous=anonymous)
    return int(fs.size(path) or 0)


def _spill_boxes(
    inputs: PlanInputs,
    plan: Plan,
    folder: Path,
    hash_ids: Callable[[pa.Array], U64],
    partitions: int,
    progress: Callable[[int], None],
) -> tuple[Spill, list[Drop]]:
    """Spill all rows of the box tables by photo."""
    spill = Spill(folder, BOXES, partitions=partitions)
    wrong_width: list[Drop] = []

    def order(table: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
        return partitioned(table, hash_ids(table[ID_COLUMN].combine_chunks()), partitions=partitions)

    with ThreadPoolExecutor(1) as pool:
        for url in inputs.tables:
            digest = TableDigest()
            blocks = stream_boxes(url, digest, anonymous=inputs.anonymous)
            for table, bounds in work_ahead(pool, order, blocks, ahead=1):
                spill.add(table, bounds)
                progress(plan.rows + digest.rows)
            plan.rows += digest.rows
            wrong_width += digest.wrong_width
            plan.inputs.append({"role": "boxes", **_digest_fields(digest)})
    spill.close()
    if wrong_width:
        plan.malformed["wrong_field_count"] = len(wrong_width)
    return spill, wrong_width


def _digest_fields(digest: TableDigest) -> dict[str, Any]:
    return {"bytes": digest.bytes, "rows": digest.rows, "sha256": digest.sha256}


def _spill_rotations(
    inputs: PlanInputs, plan: Plan, folder: Path, hash_ids: Callable[[pa.Array], U64], partitions: int
) -> Spill:
    """Spill the Rotation column of the image-info tables; a photo without a number there is left out."""
    spill = Spill(folder, ROTATIONS, partitions=partitions)
    for url in inputs.image_info:
        digest = TableDigest()
        columns = {ID_COLUMN: pa.string(), "Rotation": pa.string()}
        for table in stream_columns(url, columns, digest, anonymous=inputs.anonymous):
            ids = table[ID_COLUMN].combine_chunks()
            if ids.null_count == len(ids):
                raise InputError(f"{url}: column {ID_COLUMN} is missing or empty; give an image-info table")
            text = pc.utf8_trim_whitespace(table["Rotation"].combine_chunks())
            number = pc.if_else(pc.match_substring_regex(text, r"^[+-]?\d+(\.\d*)?$"), text, None).cast(pa.float32())
            table = pa.table({"image_id": ids, "rotation": number}).filter(pc.is_valid(number))
            spill.add(*partitioned(table, hash_ids(table["image_id"].combine_chunks()), partitions=partitions))
        if not digest.rows:
            raise InputError(f"{url}: no rows; give an image-info table with {ID_COLUMN} and Rotation")
        plan.inputs.append({"role": "image_info", **_digest_fields(digest)})
    spill.close()
    return spill


def _spill_places(
    places: Iterable[pa.Table], folder: Path, hash_ids: Callable[[pa.Array], U64], partitions: int
) -> Spill:
    spill = Spill(folder, PLACES, partitions=partitions)
    for table in places:
        spill.add(*partitioned(table, hash_ids(table["image_id"].combine_chunks()), partitions=partitions))
    spill.close()
    return spill


def _starts(ids: pa.Array, hashes: U64) -> NDArray[np.bool_]:
    """Mark the first row of each photo in rows sorted by hash.

    Raises:
        InputError: two ids share a 64-bit hash, which another seed mends.
    """
    starts = np.ones(len(hashes), bool)
    starts[1:] = hashes[1:] != hashes[:-1]
    if len(hashes) > 1:
        same = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)).to_numpy(zero_copy_only=False)
        if not (same | starts[1:]).all():
            clash = int(np.flatnonzero(~(same | starts[1:]))[0])
            raise InputError(f"ids {ids[clash]} and {ids[clash + 1]} share a hash; give another --seed")
    return starts


@dataclass(frozen=True)
class _Judged:
    """One partition's rows, parted, and their counts."""

    kept: pa.Table
    drops: pa.Table
    malformed: Counter[str]
    filtered: Counter[str]
    photos: int
    photos_without_kept_box: int


def _judge(rows: pa.Table, inputs: PlanInputs) -> _Judged:
    """Number each photo's boxes, and part the rows into kept boxes and DROPS."""
    ids = rows[ID_COLUMN].combine_chunks()
    starts = _starts(ids, rows[HASH_COLUMN].to_numpy())
    first_row = np.flatnonzero(starts)
    photo = np.cumsum(starts) - 1
    box_id = (np.arange(len(rows)) - first_row[photo]).astype(np.int32)

    malformed = malformed_reason(rows)
    rule = first_rule(rows, list(inputs.rules))
    keep = (malformed < 0) & (rule < 0)
    names = [r.name for r in inputs.rules]
    nameless = malformed == MALFORMED.index("no_image_id")
    named = ~nameless[first_row]
    has_kept = np.zeros(len(first_row), bool)
    has_kept[photo[keep]] = True

    rows = rows.append_column("box_id", pa.array(box_id, mask=nameless)).append_column("photo", pa.array(photo))
    reasons = pa.array([*MALFORMED, *names]).take(
        pa.array(np.where(malformed >= 0, malformed, rule + len(MALFORMED))[~keep])
    )
    dropped = rows.filter(pa.array(~keep))
    drops = _drops(dropped, stage=pc.if_else(pa.array(malformed[~keep] >= 0), "boxes", "filter"), reasons=reasons)
    lost = ids.take(pa.array(first_row[named & ~has_kept]))
    return _Judged(
        kept=rows.filter(pa.array(keep)),
        drops=pa.concat_tables([drops, _photo_drops(lost)]),
        malformed=_count(malformed, MALFORMED),
        filtered=_count(np.where(malformed < 0, rule, -1), names),
        photos=int(named.sum()),
        photos_without_kept_box=int((named & ~has_kept).sum()),
    )


def _count(positions: NDArray[np.int8], names: Sequence[str]) -> Counter[str]:
    """Count rows by the name at their position; -1 has none."""
    counted = np.bincount(positions[positions >= 0], minlength=len(names)).tolist()
    total = Counter[str]()
    for name, count in zip(names, counted, strict=True):
        total[name] += count  # two rules may share a name
    return +total


def _drops(dropped: pa.Table, *, stage: pa.Array, reasons: pa.Array) -> pa.Table:
    """Make DROPS of dropped rows; a malformed row's values are its detail."""
    malformed = np.flatnonzero(pc.equal(stage, "boxes").to_numpy(zero_copy_only=False))
    details = np.full(len(dropped), "", object)
    for row, values in zip(malformed, dropped.take(malformed).to_pylist(), strict=True):
        shown = (LABEL_COLUMN, *COORDINATE_COLUMNS, *FLAG_COLUMNS)
        details[row] = " ".join(f"{name}={values[name]}" for name in shown)
    columns = [stage, dropped[ID_COLUMN], dropped["box_id"], pa.nulls(len(dropped), pa.int32()), reasons]
    return pa.Table.from_arrays([*columns, pa.array(details, pa.string())], schema=DROPS)


def _photo_drops(ids: pa.Array) -> pa.Table:
    """Make DROPS of photos none of whose boxes was kept."""
    n = len(ids)
    columns = [pa.array(["filter"] * n, pa.string()), ids, pa.nulls(n, pa.int32()), pa.nulls(n, pa.int32())]
    reason = pa.array(["no_kept_box"] * n, pa.string())
    return pa.Table.from_arrays([*columns, reason, pa.array([""] * n, pa.string())], schema=DROPS)


def _write_drops(drops: pa.Table, first: list[Drop], path: Path) -> None:
    pq.write_table(pa.concat_tables([pa.Table.from_pylist(first, schema=DROPS), drops]), path)


def _photos_in_order(kept: pa.Table, rotations: pa.Table, places: pa.Table, inputs: PlanInputs) -> pa.Table:
    """Put kept boxes into the order of photos and draws, and add what is known of each photo."""
    photo_hash = kept[HASH_COLUMN].to_numpy()
    taken = mix(photo_hash ^ mix(kept["box_id"].to_numpy().astype(np.uint64)))
    order = np.lexsort((taken, photo_hash))
    kept, photo_hash = kept.take(order), photo_hash[order]
    starts = np.ones(len(kept), bool)
    starts[1:] = photo_hash[1:] != photo_hash[:-1]
    shares = np.cumsum(inputs.split_shares)[:-1]
    split = np.searchsorted(shares, uniform(mix_with(photo_hash, seed_for(inputs.seed, "split"))), side="right")
    boxes = np.stack([kept[name].to_numpy().astype(np.float32) for name in COORDINATE_COLUMNS], axis=1)
    found = _lookup(kept[ID_COLUMN], photo_hash, places)
    return pa.table(
        {
            "image_id": kept[ID_COLUMN],
            "box_id": kept["box_id"].cast(pa.int32()),
            "label": kept[LABEL_COLUMN],
            "box": pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel()), 4),
            "rotation": _lookup(kept[ID_COLUMN], photo_hash, rotations)["rotation"],
            **{name: found[name] for name in PLACES.names[1:]},
            "split": pa.array(split.astype(np.int8)),
            "photo": pa.array(np.cumsum(starts) - 1),
        }
    )


def _cut_at_limit(kept: pa.Table, limit: int, plan: Plan) -> pa.Table:
    """Keep photos as long as there is room, and count both sides of the cut."""
    photo = kept["photo"].to_numpy()
    photos = int(photo[-1]) + 1 if len(photo) else 0
    room = min(photos, max(0, limit - plan.photos_planned)) if limit else photos
    boxes = int(np.searchsorted(photo, room))
    plan.photos_planned += room
    plan.photos_beyond_limit += photos - room
    plan.boxes_planned += boxes
    plan.boxes_beyond_limit += len(kept) - boxes
    return kept.slice(0, boxes)


def _lookup(ids: pa.ChunkedArray, hashes: U64, facts: pa.Table) -> pa.Table:
    """Join facts, sorted by hash, to rows by id: the first fact of a photo, or nulls."""
    place = np.searchsorted(facts[HASH_COLUMN].to_numpy(), hashes)
    inside = place < len(facts)
    found = facts.take(pa.array(place, mask=~inside))
    same = pc.fill_null(pc.equal(found["image_id"], ids), False).to_numpy()
    return facts.take(pa.array(place, mask=~(inside & same)))


class _UnitWriter:
    """Cut photos into units, split by split, in the order of photos: a unit is numbered when its first photo comes."""

    def __init__(self, folder: Path, photos_per_unit: int) -> None:
        self._folder = folder
        self._photos_per_unit = photos_per_unit
        self._numbers: list[int | None] = [None] * len(SPLITS)  # of the open unit of each split
        self._photos = [0] * len(SPLITS)  # in the open unit
        self._rows: list[list[pa.Table]] = [[] for _ in SPLITS]
        self._units: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None
        self.files: list[Path] = []
        self.count = 0

    def add(self, photos: pa.Table) -> None:
        """Take the next photos in plan order."""
        splits = photos["split"].to_numpy()
        starts = np.flatnonzero(np.diff(photos["photo"].to_numpy(), prepend=-1))
        photo_split = splits[starts]
        openers: list[tuple[int, int, int]] = []  # (first row, split, position in its split) of photos that open a unit
        for split in range(len(SPLITS)):
            own = np.flatnonzero(photo_split == split)
            room = self._photos_per_unit - self._photos[split] if self._numbers[split] is not None else 0
            openers += [(int(starts[own[at]]), split, at) for at in range(room, len(own), self._photos_per_unit)]
        rows_of = [np.flatnonzero(splits == split) for split in range(len(SPLITS))]
        photos_of = [np.flatnonzero(photo_split == split) for split in range(len(SPLITS))]
        done_rows, done_photos = [0] * len(SPLITS), [0] * len(SPLITS)
        for first_row, split, at in sorted(openers):
            end = int(np.searchsorted(rows_of[split], first_row))
            self._extend(split, photos, rows_of[split][done_rows[split] : end], at - done_photos[split])
            done_rows[split], done_photos[split] = end, at
            self._close_unit(split)
            self._numbers[split] = self.count
            self.count += 1
        for split in range(len(SPLITS)):
            rest = rows_of[split][done_rows[split] :]
            self._extend(split, photos, rest, len(photos_of[split]) - done_photos[split])

    def close(self) -> None:
        """Write the units still open, and the table of all units."""
        for split in range(len(SPLITS)):
            self._close_unit(split)
        if self._writer:
            self._writer.close()
        self.files.append(self._folder / "units.parquet")
        pq.write_table(pa.Table.from_pylist(self._units, schema=UNITS), self.files[-1])

    def _extend(self, split: int, photos: pa.Table, rows: NDArray[np.int64], count: int) -> None:
        if len(rows):
            self._rows[split].append(photos.take(rows).select(PLANNED_BOXES.names).cast(PLANNED_BOXES))
            self._photos[split] += count

    def _close_unit(self, split: int) -> None:
        if self._numbers[split] is None or not self._rows[split]:
            return
        place = len(self._units) % UNITS_PER_FILE
        if place == 0:
            if self._writer:
                self._writer.close()
            self.files.append(self._folder / f"units-{len(self._units) // UNITS_PER_FILE:05d}.parquet")
            self._writer = pq.ParquetWriter(
                self.files[-1], PLANNED_BOXES, write_statistics=False, use_dictionary=["image_id", "label"]
            )
        assert self._writer
        rows = pa.concat_tables(self._rows[split]).combine_chunks()
        self._writer.write_table(rows, row_group_size=len(rows))
        facts = {"photos": self._photos[split], "boxes": len(rows), "file": self.files[-1].name, "row_group": place}
        self._units.append({"unit": self._numbers[split], "split": SPLITS[split], **facts})
        self._rows[split], self._photos[split], self._numbers[split] = [], 0, None
