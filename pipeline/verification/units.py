"""Verify units: records -> the problems of their shards, indexes and drops.

Tar, index, the samples' own .json, drops and record must agree, each member must be what the recipe implies, and all
numbers finite.
"""

import io
import json
import math
from collections.abc import Iterator

import pyarrow as pa
import safetensors
import safetensors.numpy

from pipeline.decoding.jpeg import decode_jpeg
from pipeline.draws.jitter import draw_jitter, jitter_of
from pipeline.shards.recipe import Json, share_jittered
from pipeline.shards.samples import Row, not_finite, read_spans
from pipeline.shards.totals import count_drops
from pipeline.storage.folder import Folder
from pipeline.verification.problems import UNREACHABLE, UNREADABLE, Problem, first_line, read_file, read_table
from schemas.drops import DROPS
from schemas.samples import (
    EXEMPLAR_EXT,
    EXEMPLAR_PX,
    ROW_EXT,
    SAMPLE,
    SOURCE_EXT,
    TENSORS_EXT,
    index_schema,
    sample_key,
    sample_schema,
)
from schemas.shards import (
    UnitRecord,
    record_path,
)

SHOWN_FAULTS = 5  # of one file's rows
FLOATS = [field.name for field in SAMPLE if pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)]
SPAN = ("key", "offset", "size", "members", "sha256")

Fault = tuple[str, str]  # a file, and what is wrong with it
Outcome = dict[str, tuple[int, str, str]]  # image_id -> box_id, `sample` or the stage of its drop, photo_sha256


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


def _verify_draw(out: Folder, record: UnitRecord, recipe: Json, outcome: Outcome) -> Iterator[Fault]:
    """Check the files of one record.

    Args:
        outcome: filled with what became of each photo.
    """
    contents: dict[str, bytes] = {}
    for file in (record.shard, record.index, record.drops):
        if file:
            try:
                contents[file.name] = read_file(out, file.name, file.sha256)
                if len(contents[file.name]) != file.bytes:
                    yield file.name, f"{len(contents[file.name]):,} bytes, the record has {file.bytes:,}"
            except UNREADABLE as error:
                yield file.name, first_line(error)
    if record.drops.name in contents:
        yield from _verify_drops(record, contents[record.drops.name], outcome)
    if record.shard and record.index and {record.shard.name, record.index.name} <= contents.keys():
        yield from _verify_shard(record, contents[record.index.name], contents[record.shard.name], recipe, outcome)


def _verify_drops(record: UnitRecord, content: bytes, outcome: Outcome) -> Iterator[Fault]:
    """Check the drops of one record."""
    name = record.drops.name
    try:
        table = read_table(content, DROPS)
    except UNREADABLE as error:
        yield name, first_line(error)
        return
    counted = count_drops(table)
    if counted != record.dropped:
        yield name, f"{counted}, the record has {record.dropped}"
    for drop in table.to_pylist():
        if drop["image_id"] in outcome:
            yield name, f"{drop['image_id']} is in it twice"
        if drop["draw"] != record.draw or None in drop.values() or drop["stage"] not in ("photo", "draw"):
            yield name, f"{drop['image_id']}: not a drop of draw {record.draw}: {drop}"
        outcome[drop["image_id"]] = (drop["box_id"], drop["stage"], "")


def _verify_shard(record: UnitRecord, index: bytes, shard: bytes, recipe: Json, outcome: Outcome) -> Iterator[Fault]:
    """Check the samples of one record: the tar against the index, and both against themselves."""
    assert record.shard and record.index
    try:
        table = read_table(index, index_schema(share_jittered(recipe)))
    except UNREADABLE as error:
        yield record.index.name, first_line(error)
        return
    try:
        spans = list(read_spans(io.BytesIO(shard)))
    except UNREADABLE as error:
        yield record.shard.name, f"not a tar of samples ({first_line(error)})"
        return
    if not len(table) == len(spans) == record.samples:
        counts = f"{len(table)} rows, {record.shard.name} has {len(spans)} samples, the record {record.samples}"
        yield record.index.name, counts
        return
    gap = _find_gap(spans, shard)
    if gap:
        yield record.shard.name, f"its samples overlap, or bytes lie between or after them: {gap}"
    if "jitter" in table.column_names and (jittered := len(table) - table["jitter"].null_count) != record.jittered:
        yield record.index.name, f"{jittered} jittered samples, the record has {record.jittered}"
    yield from _verify_samples(record, table, spans, shard, recipe, outcome)


def _verify_samples(
    record: UnitRecord, index: pa.Table, spans: list[Row], shard: bytes, recipe: Json, outcome: Outcome
) -> Iterator[Fault]:
    """Check each index row, the sample that it describes, and the sample's own .json."""
    assert record.shard and record.index
    stored: list[Row] = []
    for row, span in zip(index.to_pylist(), spans, strict=True):
        for what in _verify_row(record, row, span, recipe, outcome):
            yield record.index.name, f"{row['key']}: {what}"
        try:
            stored.append(_read_members(span, shard, recipe))
        except UNREADABLE as error:
            yield record.shard.name, f"{span['key']}: {first_line(error)}"
    if len(stored) == len(index):
        schema = sample_schema(share_jittered(recipe))
        yield from ((record.index.name, what) for what in _compare_rows(index.select(schema.names), stored, schema))


def _verify_row(record: UnitRecord, row: Row, span: Row, recipe: Json, outcome: Outcome) -> Iterator[str]:
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
    for name in FLOATS:
        if not all(map(math.isfinite, row[name] or ())):
            yield f"{name} holds a number that is not finite"
    share, image_id = share_jittered(recipe), row["image_id"] or ""
    jitter = draw_jitter(share, seed=recipe["seed"], image_id=image_id, draw=row["draw"])
    if jitter_of(row) != jitter:
        yield f"jitter is {jitter_of(row)}, the seed gives {jitter}"
    if row["image_id"] in outcome:
        yield f"{row['image_id']} is a sample or a drop of this draw already"
    outcome[row["image_id"]] = (row["box_id"], "sample", row["photo_sha256"])


def _find_gap(spans: list[Row], shard: bytes) -> str:
    """Describe where spans do not tile a shard, whose end is zeros; empty where they do."""
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
        ValueError: a member is missing, or not as it should be.
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
        return _read_row(members[ROW_EXT], sample_schema(share_jittered(recipe)))
    except UNREADABLE as error:
        raise ValueError(f".{ext}: {first_line(error)}") from error


def _check_tensors(content: bytes, recipe: Json) -> None:
    """Check the names, shapes and types of a sample's arrays, and that all their numbers are finite.

    Raises:
        safetensors.SafetensorError, ValueError: they are others; naming the arrays.
    """
    side = recipe["resolution"] // recipe["vae"]["factor"]
    latent = (recipe["vae"]["channels"], side, side)
    expected = {"latent": latent, "masked_latent": latent, "exemplar": (recipe["clip"]["dimension"],)}
    arrays = safetensors.numpy.load(content)
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != expected or any(array.dtype != "float16" for array in arrays.values()):
        types = {str(array.dtype) for array in arrays.values()}
        raise ValueError(f"{', '.join(sorted(types))} arrays of {shapes}, expected float16 of {expected}")
    odd = [f"{name} holds {value}" for name, array in arrays.items() if (value := not_finite(array))]
    if odd:
        raise ValueError(", ".join(odd))


def _check_picture(content: bytes, side: int) -> None:
    """Check that a picture can be decoded, and has its size.

    Raises:
        ValueError: it is another.
    """
    height, width = decode_jpeg(content).shape[:2] if content else (0, 0)
    if (height, width) != (side, side):
        raise ValueError(f"{width} x {height} px, expected {side} x {side}")


def _read_row(content: bytes, schema: pa.Schema) -> Row:
    """Read a sample's own .json.

    Raises:
        ValueError: it is not JSON of a sample's fields.
    """
    row = json.loads(content)
    if not isinstance(row, dict) or row.keys() != set(schema.names):
        raise ValueError("its fields are not those of a sample")
    return row


def _compare_rows(table: pa.Table, stored: list[Row], schema: pa.Schema) -> list[str]:
    """Compare all of an index with the samples' own .json, exactly."""
    try:
        own = pa.Table.from_pylist(stored, schema=schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        return [f"the .json of its samples has other types ({first_line(error)})"]
    if table.equals(own):
        return []
    pairs = zip(table.to_pylist(), own.to_pylist(), strict=True)
    odd = [
        f"{row['key']}: {name} is {row[name]!r}, its .json has {other[name]!r}"
        for row, other in pairs
        for name in schema.names
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
    drawn = {(image, box) for o in outcomes for image, (box, stage, _) in o.items() if stage != "photo"}
    recorded = sum(record.boxes_drawn for record in records)
    names = tuple(record_path(record.unit, record.draw) for record in records)
    if not problems and (photo := _find_other_photo(outcomes)):
        problems.append(Problem(names[0], f"with its other draws: {photo}", names))
    if not problems and [record.draw for record in records] == list(range(len(records))) and len(drawn) != recorded:
        problems.append(Problem(names[0], f"with its other draws: {recorded} boxes drawn, not {len(drawn)}", names))
    return problems


def _find_other_photo(outcomes: list[Outcome]) -> str:
    """Describe a photo that is not the same in all draws of a unit; empty where there is none."""
    for name in outcomes[0]:
        lost = {outcome[name][1] == "photo" for outcome in outcomes}
        if len(lost) > 1:
            return f"photo {name} is lost in some draws and there in others"
        if len({outcome[name][2] for outcome in outcomes} - {""}) > 1:
            return f"photo {name} has other bytes in some draws"
    return ""
