"""Verify: a finished dataset -> its problems, each naming a file and what to remove so that the job makes it anew.

What the digests cover must be there unchanged, nothing else may be there outside run/, and what is recorded in several
places must agree. units.py looks into shards, indexes and drops; here is all the rest.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from pipeline.planning.plan_files import PLAN
from pipeline.shards.kept_boxes import draws_off
from pipeline.shards.recipe import Json, digest_of, share_jittered
from pipeline.shards.records import READERS, record_sha256, shard_rows
from pipeline.shards.totals import box_drops_of, count_drops, join_columns, sums_off, units_at_odds
from pipeline.storage.folder import Folder
from pipeline.storage.globs import files_below
from pipeline.storage.retries import with_retries
from pipeline.verification.problems import (
    UNREACHABLE,
    UNREADABLE,
    MissingError,
    Problem,
    first_line,
    read_file,
    read_table,
)
from schemas.drops import DROPS
from schemas.shards import (
    BOX_DROPS,
    MANIFEST,
    RUN,
    SHARDS,
    SHARDS_TABLE,
    SPLITS,
    UnitRecord,
    drops_path,
    index_path,
    json_bytes,
    record_path,
    shard_path,
)

_DRAW = re.compile(r"/\d{6,}-d(\d{2,})\.\w+$")


def verify_dataset(out: Folder, manifest: Json, files: dict[str, int]) -> tuple[list[UnitRecord], list[Problem]]:
    """Check all but the units' own files: tables, pictures, records, sums, and that nothing else is there.

    Args:
        files: as `list_files` returns them.

    Returns:
        The records that can be read, in order, and what is wrong.
    """
    problems = _verify_files(out, manifest)
    records, of_records = _verify_records(out, manifest)
    if not any(problem.file == SHARDS_TABLE for problem in problems):
        of_records += _verify_shards_table(out, manifest, records, named={problem.file for problem in of_records})
    for draws in units_at_odds(records):
        names = tuple(record_path(record.unit, record.draw) for record in draws)
        of_records.append(Problem(names[0], "with its other draws: they did not lose the same photos", names))
    if not of_records:  # of damaged records no sum holds
        off = sums_off(manifest["totals"], records) + draws_off(manifest["totals"], records)
        of_records = [Problem(MANIFEST, line, (MANIFEST,)) for line in off]
    return records, problems + of_records + _find_strangers(files, manifest, records)


def verify_listing(records: Iterable[UnitRecord], files: dict[str, int]) -> list[Problem]:
    """Check that the files of records are there and have their sizes, without reading them."""
    parts = [(r, file) for r in records for file in (r.shard, r.index, r.drops) if file]
    return [
        Problem(
            file.name,
            f"{files[file.name]:,} bytes, the record has {file.bytes:,}" if file.name in files else "missing",
            (record_path(record.unit, record.draw),),
        )
        for record, file in parts
        if files.get(file.name) != file.bytes
    ]


def list_files(out: Folder) -> dict[str, int]:
    """List all files of a dataset outside run/, with their sizes in bytes."""
    root = out.path("").rstrip("/") + "/"
    if out.local:
        found = {str(path): path.stat().st_size if path.exists() else 0 for path in files_below(root)}
    else:
        out.fs.invalidate_cache()
        listing = with_retries(lambda: out.fs.find(root, detail=True))
        found = {str(path): int(facts["size"] or 0) for path, facts in listing.items()}
    sizes = {path.removeprefix(root): found[path] for path in sorted(found)}
    return {name: size for name, size in sizes.items() if name and name[-1] != "/" and not name.startswith(f"{RUN}/")}


def _expected(manifest: Json) -> list[tuple[int, int]]:
    """List the units and draws that a dataset must have."""
    return [(unit, draw) for unit in range(manifest["totals"]["units"]) for draw in range(manifest["draws"])]


def _verify_files(out: Folder, manifest: Json) -> list[Problem]:
    """Check the files that belong to no unit against the manifest's digests, and the box drops against its totals."""
    problems = []
    if digest_of(manifest["recipe"]) != manifest["recipe_digest"]:
        problems.append(Problem(MANIFEST, "recipe and recipe_digest disagree", (MANIFEST,)))
    counted: Counter[str] = Counter()
    for name, sha256 in sorted(manifest["files"].items()):
        is_drops = name.startswith("drops/")
        remove = (MANIFEST, PLAN) if is_drops else (MANIFEST,)
        try:
            content = read_file(out, name, sha256)
            if is_drops:
                counted.update(_count_box_drops(content))
        except UNREADABLE as error:
            problems.append(Problem(name, first_line(error), remove))
        except OSError as error:
            problems.append(Problem(name, UNREACHABLE.format(error=error)))
    expected = box_drops_of(manifest["totals"])
    if dict(counted) != expected and not any(problem.file.startswith("drops/") for problem in problems):
        what = f"all box drops together: {dict(counted)}, {MANIFEST} has {expected}"
        problems.append(Problem(BOX_DROPS.format(part=0), what, (MANIFEST, PLAN)))
    return problems


def _count_box_drops(content: bytes) -> dict[str, int]:
    """Count one file of drops before units.

    Raises:
        ValueError: it has other columns, or holds a box twice.
    """
    table = read_table(content, DROPS)
    boxes = table.filter(table["box_id"].is_valid())
    keys = join_columns(boxes, "image_id", "box_id")
    twice = len(keys) - len(keys.unique())
    if twice:
        raise ValueError(f"{twice} boxes are in it more than once")
    return count_drops(table)


def _verify_records(out: Folder, manifest: Json) -> tuple[list[UnitRecord], list[Problem]]:
    """Read all records that must be there, and check each by itself."""

    def check(place: tuple[int, int]) -> UnitRecord | Problem:
        name = record_path(*place)
        try:
            content = read_file(out, name, None)
            record = UnitRecord.from_json(json.loads(content))
            _check_record(record, content, place, manifest)
            return record
        except MissingError as error:
            return Problem(name, str(error))
        except UNREADABLE as error:
            return Problem(name, first_line(error), (name,))
        except OSError as error:
            return Problem(name, UNREACHABLE.format(error=error))

    with ThreadPoolExecutor(READERS) as pool:
        checked = list(pool.map(check, _expected(manifest)))
    records = [outcome for outcome in checked if isinstance(outcome, UnitRecord)]
    return records, [outcome for outcome in checked if isinstance(outcome, Problem)]


def _check_record(record: UnitRecord, content: bytes, place: tuple[int, int], manifest: Json) -> None:
    """Check that a record is of its place and recipe, and that it does not contradict itself.

    Raises:
        ValueError: saying what is off.
    """
    files = {
        "drops": drops_path(*place),
        "shard": shard_path(record.split, *place) if record.samples else None,
        "index": index_path(record.split, *place) if record.samples else None,
    }
    named = {name: getattr(record, name) and getattr(record, name).name for name in files}
    lost = sum(count for reason, count in record.dropped.items() if reason.startswith("photo/"))
    holds = {
        "it is of another unit or draw": (record.unit, record.draw) == place and record.split in SPLITS,
        "it is of another recipe": (record.schema_version, record.recipe_digest)
        == (manifest["schema_version"], manifest["recipe_digest"]),
        f"its files are {named}": named == files,
        "planned is not samples + dropped": record.planned == record.samples + sum(record.dropped.values()),
        "planned is not photos": record.planned == record.photos,
        "photos_lost is not the drops of photos": record.photos_lost == lost,
        "it counts jittered samples, or should": (record.jittered is None) == (not share_jittered(manifest["recipe"])),
        "more jittered samples than samples": (record.jittered or 0) <= record.samples,
        "more boxes than kept": record.boxes_drawn + record.boxes_lost <= record.boxes_kept,
        "it is not as the job writes it": content == json_bytes(record.to_json()),
    }
    off = [what for what, true in holds.items() if not true]
    if off:
        raise ValueError("; ".join(off))


def _verify_shards_table(out: Folder, manifest: Json, records: list[UnitRecord], *, named: set[str]) -> list[Problem]:
    """Compare the table of shards, and the digests of all records, with the records themselves.

    Args:
        named: records that are known to be damaged.
    """
    try:
        table = read_table(read_file(out, SHARDS_TABLE, None), SHARDS)
    except UNREADABLE as error:
        return [Problem(SHARDS_TABLE, first_line(error), (MANIFEST,))]
    # By record: its row in the table or, where it has no shard, its digest in the manifest; and what these should be.
    recorded: Json = {record_path(row["unit"], row["draw"]): row for row in table.to_pylist()}
    recorded |= manifest["records_without_shard"]
    actual: Json = {record_path(row["unit"], row["draw"]): row for row in shard_rows(records)}
    actual |= {record_path(r.unit, r.draw): record_sha256(r) for r in records if r.shard is None}
    odd = sorted(name for name in (recorded.keys() | actual.keys()) - named if recorded.get(name) != actual.get(name))
    return [Problem(name, f"differs from {SHARDS_TABLE} and {MANIFEST}", (name,)) for name in odd]


def _find_strangers(files: Iterable[str], manifest: Json, records: list[UnitRecord]) -> list[Problem]:
    """Find files that neither the manifest nor a record names."""
    known = {MANIFEST, *manifest["files"]}
    for record in records:
        known |= {file.name for file in (record.shard, record.index, record.drops) if file}
    known |= {record_path(*place) for place in _expected(manifest)}
    for place in set(_expected(manifest)) - {(record.unit, record.draw) for record in records}:
        known.add(drops_path(*place))
        known |= {path(split, *place) for path in (shard_path, index_path) for split in SPLITS}
    return [_stranger(name, manifest["draws"]) for name in files if name not in known]


def _stranger(name: str, draws: int) -> Problem:
    """Describe a file that does not belong here, or not yet: a run with more draws may not have ended."""
    draw = _DRAW.search(name)
    if draw and int(draw[1]) >= draws:
        return Problem(name, f"of an unfinished run with more than {draws} draws; run it again, or remove the file")
    return Problem(name, "no record names it", (name,))
