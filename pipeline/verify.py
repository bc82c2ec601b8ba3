"""Verify: a finished dataset -> its problems, each naming a file and what to remove so that the job makes it anew.

What the digests cover must be there unchanged, nothing else may be there outside run/, and what is told in several
places (tar, index, .json members, drops, records, tables, totals) must agree.
"""

import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import safetensors
import safetensors.numpy

from pipeline.exemplars import decode_jpeg
from pipeline.manifest import (
    READERS,
    Json,
    box_drops_of,
    count_drops,
    digest_of,
    record_sha256,
    shards_table,
    sums_off,
)
from pipeline.plan import PLAN
from pipeline.shards import Row, read_spans
from pipeline.storage import Folder, with_retries
from schemas.drops import DROPS
from schemas.samples import EXEMPLAR_EXT, EXEMPLAR_PX, INDEX, ROW_EXT, SAMPLE, SOURCE_EXT, TENSORS_EXT, sample_key
from schemas.shards import (
    BOX_DROPS,
    MANIFEST,
    RUN,
    SCHEMA_VERSION,
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

SHOWN_FAULTS = 5  # of one file's rows
SPAN = ("key", "offset", "size", "members", "sha256")
# What reading damaged Parquet, tar, JSON, safetensors or JPEG raises.
UNREADABLE = (ValueError, RecursionError, tarfile.TarError, safetensors.SafetensorError)
UNREACHABLE = "cannot be read ({error}); check the storage, and verify again"

_DRAW = re.compile(r"/\d{6,}-d(\d{2,})\.\w+$")

Outcome = dict[str, tuple[int, str]]  # image_id -> box_id, and `sample` or the stage of its drop


class MissingError(ValueError):
    """A file that must be there is not."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file of the dataset.

    Args:
        remove: what to remove, so that the same shard command makes it anew.
    """

    file: str
    what: str
    remove: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def how_to_mend(problems: Iterable[Problem]) -> str:
    """Say what to do about problems."""
    remove = sorted({name for problem in problems for name in problem.remove})
    first = f"remove {' '.join(remove)}, then " if remove else ""
    return f"to mend: {first}run the same shard_openimages.py command again; it makes only what is missing"


def verify_whole(out: Folder, manifest: Json, files: dict[str, int]) -> tuple[list[UnitRecord], list[Problem]]:
    """Check all but the units' own files: tables, pictures, records, sums, and that nothing else is there.

    Args:
        files: what `list_files` gave.

    Returns:
        The records that can be read, in order, and what is wrong.
    """
    problems = _verify_files(out, manifest)
    records, told = _verify_records(out, manifest)
    if not any(problem.file == SHARDS_TABLE for problem in problems):
        told += _verify_shards_table(out, manifest, records, named={problem.file for problem in told})
    if not told:
        told = [Problem(MANIFEST, line, (MANIFEST,)) for line in sums_off(manifest["totals"], records)]
    return records, problems + told + _find_strangers(files, manifest, records)


def verify_unit(out: Folder, records: list[UnitRecord], *, recipe: Json) -> list[Problem]:
    """Re-hash and re-count all files of one unit, one shard in memory at a time.

    Args:
        records: of its draws, in order.
        recipe: of the dataset.
    """
    problems: list[Problem] = []
    outcomes: list[Outcome] = []
    for record in records:
        name = record_path(record.unit, record.draw)
        outcome: Outcome = {}
        try:
            faults = [Problem(file, what, (name,)) for file, what in _verify_draw(out, record, recipe, outcome)]
        except OSError as error:
            faults = [Problem(name, f"a file of it {UNREACHABLE.format(error=error)}")]
        if not faults:
            outcomes.append(outcome)
        problems += faults
    if len(outcomes) == len(records):
        problems += _verify_across_draws(records, outcomes)
    return problems


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
    out.fs.invalidate_cache()
    root = out.path("").rstrip("/") + "/"
    found = with_retries(lambda: out.fs.find(root, detail=True))
    names = {str(name).removeprefix(root): int(facts["size"] or 0) for name, facts in sorted(found.items())}
    return {name: n for name, n in names.items() if name and name[-1] != "/" and not name.startswith(f"{RUN}/")}


def _expected(manifest: Json) -> list[tuple[int, int]]:
    """The units and draws that a dataset must have."""
    return [(unit, draw) for unit in range(manifest["totals"]["units"]) for draw in range(manifest["draws"])]


def _verify_files(out: Folder, manifest: Json) -> list[Problem]:
    """Check the files of the whole dataset against the manifest's digests, and the box drops against its totals."""
    problems = []
    if digest_of(manifest["recipe"]) != manifest["recipe_digest"]:
        problems.append(Problem(MANIFEST, "recipe and recipe_digest disagree", (MANIFEST,)))
    counted: Counter[str] = Counter()
    for name, sha256 in sorted(manifest["files"].items()):
        is_drops = name.startswith("drops/")
        remove = (MANIFEST, PLAN) if is_drops else (MANIFEST,)
        try:
            content = _read(out, name, sha256)
            if is_drops:
                counted.update(_count_box_drops(content))
        except UNREADABLE as error:
            problems.append(Problem(name, _first_line(error), remove))
        except OSError as error:
            problems.append(Problem(name, UNREACHABLE.format(error=error)))
    told = box_drops_of(manifest["totals"])
    if dict(counted) != told and not any(problem.file.startswith("drops/") for problem in problems):
        what = f"{dict(counted)}, {MANIFEST} has {told}"
        problems.append(Problem(BOX_DROPS.format(part=0), f"with its fellows: {what}", (MANIFEST, PLAN)))
    return problems


def _count_box_drops(content: bytes) -> dict[str, int]:
    """Count one file of drops before units.

    Raises:
        ValueError: it has other columns, or tells of a box twice.
    """
    table = _read_table(content, DROPS)
    boxes = table.filter(table["box_id"].is_valid()).select(["image_id", "box_id"])
    twice = len(boxes) - len(boxes.group_by(boxes.column_names).aggregate([]))
    if twice:
        raise ValueError(f"{twice} boxes are in it more than once")
    return count_drops(table)


def _verify_records(out: Folder, manifest: Json) -> tuple[list[UnitRecord], list[Problem]]:
    """Read all records that must be there, and check each by itself."""

    def check(place: tuple[int, int]) -> UnitRecord | Problem:
        name = record_path(*place)
        try:
            content = _read(out, name, None)
            record = UnitRecord.from_json(json.loads(content))
            _check_record(record, content, place, manifest["recipe_digest"])
            return record
        except MissingError as error:
            return Problem(name, str(error))
        except UNREADABLE as error:
            return Problem(name, _first_line(error), (name,))
        except OSError as error:
            return Problem(name, UNREACHABLE.format(error=error))

    with ThreadPoolExecutor(READERS) as pool:
        checked = list(pool.map(check, _expected(manifest)))
    records = [found for found in checked if isinstance(found, UnitRecord)]
    return records, [found for found in checked if isinstance(found, Problem)]


def _check_record(record: UnitRecord, content: bytes, place: tuple[int, int], recipe_digest: str) -> None:
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
        "it is of another recipe": (record.schema_version, record.recipe_digest) == (SCHEMA_VERSION, recipe_digest),
        f"its files are {named}": named == files,
        "planned is not samples + dropped": record.planned == record.samples + sum(record.dropped.values()),
        "planned is not photos": record.planned == record.photos,
        "photos_lost is not the drops of photos": record.photos_lost == lost,
        "more boxes than kept": record.boxes_drawn + record.boxes_lost <= record.boxes_kept,
        "it is not as the job writes it": content == json_bytes(asdict(record)),
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
        table = _read_table(_read(out, SHARDS_TABLE, None), SHARDS)
    except UNREADABLE as error:
        return [Problem(SHARDS_TABLE, _first_line(error), (MANIFEST,))]
    told = {record_path(row["unit"], row["draw"]): row for row in table.to_pylist()}
    found = {record_path(row["unit"], row["draw"]): row for row in shards_table(records).to_pylist()}
    told |= manifest["records_without_shard"]
    found |= {record_path(r.unit, r.draw): record_sha256(r) for r in records if r.shard is None}
    odd = sorted(name for name in (told.keys() | found.keys()) - named if told.get(name) != found.get(name))
    return [Problem(name, f"not as {SHARDS_TABLE} and {MANIFEST} have it", (name,)) for name in odd]


def _find_strangers(files: Iterable[str], manifest: Json, records: list[UnitRecord]) -> list[Problem]:
    """Find files that neither the manifest nor a record tells of."""
    known = {MANIFEST, *manifest["files"]}
    for record in records:
        known |= {file.name for file in (record.shard, record.index, record.drops) if file}
    known |= {record_path(*place) for place in _expected(manifest)}
    for place in set(_expected(manifest)) - {(record.unit, record.draw) for record in records}:
        known.add(drops_path(*place))
        known |= {path(split, *place) for path in (shard_path, index_path) for split in SPLITS}
    return [_stranger(name, manifest["draws"]) for name in files if name not in known]


def _stranger(name: str, draws: int) -> Problem:
    """Tell work of a run with more draws, which has not ended, from a file that does not belong here."""
    found = _DRAW.search(name)
    if found and int(found[1]) >= draws:
        return Problem(name, f"of an unfinished run with more than {draws} draws; run it again, or remove the file")
    return Problem(name, "no record tells of it", (name,))


Fault = tuple[str, str]  # a file, and what is wrong with it


def _verify_draw(out: Folder, record: UnitRecord, recipe: Json, outcome: Outcome) -> Iterator[Fault]:
    """Check the files of one record.

    Args:
        outcome: filled with what became of each photo.
    """
    contents: dict[str, bytes] = {}
    for file in (record.shard, record.index, record.drops):
        if file:
            try:
                contents[file.name] = _read(out, file.name, file.sha256)
                if len(contents[file.name]) != file.bytes:
                    yield file.name, f"{len(contents[file.name]):,} bytes, the record has {file.bytes:,}"
            except UNREADABLE as error:
                yield file.name, _first_line(error)
    if record.drops.name in contents:
        yield from _verify_drops(record, contents[record.drops.name], outcome)
    if record.shard and record.index and {record.shard.name, record.index.name} <= contents.keys():
        yield from _verify_shard(record, contents[record.index.name], contents[record.shard.name], recipe, outcome)


def _verify_drops(record: UnitRecord, content: bytes, outcome: Outcome) -> Iterator[Fault]:
    """Check the drops of one record."""
    name = record.drops.name
    try:
        table = _read_table(content, DROPS)
    except UNREADABLE as error:
        yield name, _first_line(error)
        return
    counted = count_drops(table)
    if counted != record.dropped:
        yield name, f"{counted}, the record has {record.dropped}"
    for drop in table.to_pylist():
        if drop["image_id"] in outcome:
            yield name, f"{drop['image_id']} is in it twice"
        if drop["draw"] != record.draw or None in drop.values() or drop["stage"] not in ("photo", "draw"):
            yield name, f"{drop['image_id']}: no drop of draw {record.draw}: {drop}"
        outcome[drop["image_id"]] = (drop["box_id"], drop["stage"])


def _verify_shard(record: UnitRecord, index: bytes, shard: bytes, recipe: Json, outcome: Outcome) -> Iterator[Fault]:
    """Check the samples of one record: the tar against the index, and both against themselves."""
    assert record.shard and record.index
    try:
        table = _read_table(index, INDEX)
    except UNREADABLE as error:
        yield record.index.name, _first_line(error)
        return
    try:
        spans = list(read_spans(io.BytesIO(shard)))
    except UNREADABLE as error:
        yield record.shard.name, f"no tar of samples ({_first_line(error)})"
        return
    rows = table.to_pylist()
    if len(rows) != record.samples or len(spans) != record.samples:
        counts = f"{len(rows)} rows, {record.shard.name} has {len(spans)} samples, the record {record.samples}"
        yield record.index.name, counts
        return
    if _gaps(spans, shard):
        yield record.shard.name, f"its samples overlap, or bytes lie between or after them ({_gaps(spans, shard)})"
    stored: list[Row] = []
    for row, span in zip(rows, spans, strict=True):
        for what in _verify_row(record, row, span, outcome):
            yield record.index.name, f"{row['key']}: {what}"
        try:
            stored.append(_read_members(span, shard, recipe))
        except UNREADABLE as error:
            yield record.shard.name, f"{span['key']}: {_first_line(error)}"
    if len(stored) == len(rows):
        yield from ((record.index.name, what) for what in _compare_rows(table.select(SAMPLE.names), stored))


def _verify_row(record: UnitRecord, row: Row, span: Row, outcome: Outcome) -> Iterator[str]:
    """Check one index row against its record, its span in the tar, and the photos seen before."""
    assert record.shard
    own = {"shard": record.shard.name, "split": record.split, "unit": record.unit, "draw": record.draw}
    own |= {"key": sample_key(row["image_id"] or "", row["box_id"], row["draw"])}
    for name, value in own.items():
        if row[name] != value:
            yield f"{name} is {row[name]!r}, not {value!r}"
    odd = [name for name in SPAN if row[name] != span[name]]
    if odd:
        yield f"{', '.join(odd)} disagree with {record.shard.name}"
    if row["image_id"] in outcome:
        yield f"{row['image_id']} is a sample or a drop of this draw already"
    outcome[row["image_id"]] = (row["box_id"], "sample")


def _gaps(spans: list[Row], shard: bytes) -> str:
    """Say where spans do not tile a shard, whose end is zeros."""
    position = 0
    for span in spans:
        if span["offset"] != position:
            return f"{span['key']} at {span['offset']:,}, expected at {position:,}"
        position += span["size"]
    return "data after the last one" if shard[position:].strip(b"\0") else ""


def _read_members(span: Row, shard: bytes, recipe: Json) -> Row:
    """Check that a sample's members are what the recipe implies.

    Returns:
        What its own .json holds.

    Raises:
        ValueError: a member is absent, or other than it should be.
    """
    members = {m["ext"]: shard[m["offset"] : m["offset"] + m["size"]] for m in span["members"]}
    pictures = {EXEMPLAR_EXT: EXEMPLAR_PX} | ({SOURCE_EXT: recipe["resolution"]} if recipe["keep_source"] else {})
    expected = sorted({TENSORS_EXT, ROW_EXT, *pictures})
    if sorted(m["ext"] for m in span["members"]) != expected:
        raise ValueError(f"members {', '.join(m['ext'] for m in span['members'])}, expected {', '.join(expected)}")
    ext = TENSORS_EXT
    try:
        _check_tensors(members[TENSORS_EXT], recipe)
        for ext, side in pictures.items():
            _check_picture(members[ext], side)
        ext = ROW_EXT
        return _read_row(members[ROW_EXT])
    except UNREADABLE as error:
        raise ValueError(f".{ext}: {_first_line(error)}") from error


def _check_tensors(content: bytes, recipe: Json) -> None:
    """Check the names, shapes and types of a sample's arrays.

    Raises:
        safetensors.SafetensorError, ValueError: they are others.
    """
    side = recipe["resolution"] // recipe["vae"]["factor"]
    latent = (recipe["vae"]["channels"], side, side)
    expected = {"latent": latent, "masked_latent": latent, "exemplar": (recipe["clip"]["dimension"],)}
    arrays = safetensors.numpy.load(content)
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected or any(array.dtype != "float16" for array in arrays.values()):
        types = {str(array.dtype) for array in arrays.values()}
        raise ValueError(f"{', '.join(sorted(types))} arrays of {found}, expected float16 of {expected}")


def _check_picture(content: bytes, side: int) -> None:
    """Check that a picture can be decoded, and has its size.

    Raises:
        ValueError: it is another.
    """
    height, width = decode_jpeg(content).shape[:2] if content else (0, 0)
    if (height, width) != (side, side):
        raise ValueError(f"{width} x {height} px, expected {side} x {side}")


def _read_row(content: bytes) -> Row:
    """Read a sample's own .json.

    Raises:
        ValueError: it is no JSON of a sample's fields.
    """
    row = json.loads(content)
    if not isinstance(row, dict) or row.keys() != set(SAMPLE.names):
        raise ValueError("its fields are not those of a sample")
    return row


def _compare_rows(table: pa.Table, stored: list[Row]) -> list[str]:
    """Compare all of an index with the samples' own .json, exactly."""
    try:
        own = pa.Table.from_pylist(stored, schema=SAMPLE)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        return [f"the .json of its samples has other types ({_first_line(error)})"]
    if table.equals(own):
        return []
    pairs = zip(table.to_pylist(), own.to_pylist(), strict=True)
    odd = [
        f"{row['key']}: {name} is {row[name]!r}, its .json has {other[name]!r}"
        for row, other in pairs
        for name in SAMPLE.names
        if row[name] != other[name]
    ]
    return odd[:SHOWN_FAULTS] + ([f"and {len(odd) - SHOWN_FAULTS} more"] if len(odd) > SHOWN_FAULTS else [])


def _verify_across_draws(records: list[UnitRecord], outcomes: list[Outcome]) -> list[Problem]:
    """Check that the draws of a unit are of the same photos, and that their boxes are counted once."""
    first, photos = records[0], outcomes[0].keys()
    problems = [
        Problem(
            record_path(record.unit, record.draw),
            f"its photos or boxes are not those of draw {first.draw}",
            (record_path(record.unit, record.draw),),
        )
        for record, outcome in zip(records, outcomes, strict=True)
        if outcome.keys() != photos
        or (record.split, record.photos, record.boxes_kept) != (first.split, first.photos, first.boxes_kept)
    ]
    drawn = {(image, box) for o in outcomes for image, (box, stage) in o.items() if stage != "photo"}
    told = sum(record.boxes_drawn for record in records)
    if not problems and [record.draw for record in records] == list(range(len(records))) and len(drawn) != told:
        names = tuple(record_path(record.unit, record.draw) for record in records)
        problems.append(Problem(names[0], f"with its other draws: {told} boxes drawn, not {len(drawn)}", names))
    return problems


def _read(out: Folder, name: str, sha256: str | None) -> bytes:
    """Read a file that must be there, with this digest where one is known.

    Raises:
        MissingError: it is absent.
        ValueError: it is a folder, or has another digest.
        OSError: the storage failed.
    """
    try:
        content = out.read(name)
    except FileNotFoundError as error:
        raise MissingError("missing") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise ValueError("no file, but a folder, or below a file") from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise ValueError(f"{len(content):,} bytes whose sha256 is not the recorded one")
    return content


def _read_table(content: bytes, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table of one schema.

    Raises:
        ValueError: it is none.
    """
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"unreadable ({_first_line(error)})") from error
    if not table.schema.equals(schema):
        raise ValueError(f"its columns are {', '.join(table.column_names)[:200]}, or have other types")
    return table


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
