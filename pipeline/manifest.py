"""Manifest: recipe, plan and records -> manifest.json, shards.parquet and card.md; and the check of a whole dataset.

The manifest is written last: its existence means that the dataset is complete.
"""

import hashlib
import importlib.metadata
import json
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import ShardConfig
from pipeline.encoders import ExemplarEncoder, SourceEncoder
from pipeline.errors import InputError
from pipeline.plan import Plan
from pipeline.storage import Folder
from schemas.drops import DROPS
from schemas.shards import (
    BOX_DROPS,
    CARD,
    MANIFEST,
    SCHEMA_VERSION,
    SHARDS,
    SHARDS_TABLE,
    SPLITS,
    UnitRecord,
    drops_path,
    index_path,
    record_path,
    shard_path,
)

RECIPE = "run/recipe.json"
READERS = 32

# The libraries whose version can change a byte of a shard.
LIBRARIES = (
    "albumentations",
    "bezier",
    "diffusers",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pyarrow",
    "safetensors",
    "torch",
    "transformers",
    "webdataset",
)

# What of the config changes bytes: neither paths, nor --draws, which is a total, nor what only changes the speed.
_RECIPE_FIELDS = (
    "seed",
    "resolution",
    "photos_per_unit",
    "split_shares",
    "boxes_frame",
    "long_boxes",
    "min_box_px",
    "min_photo_px",
    "max_photo_megapixels",
    "keep_source",
    "dtype",
    "encode_batch",
    "limit",
)

Json = dict[str, Any]


def make_recipe(
    config: ShardConfig,
    *,
    device: str,
    rules: list[str],
    sources: SourceEncoder,
    exemplars: ExemplarEncoder,
    class_names: dict[str, str],
) -> Json:
    """Gather all that decides the bytes of a dataset, except its input tables."""
    return {
        "schema_version": SCHEMA_VERSION,
        **json.loads(json.dumps({name: getattr(config, name) for name in _RECIPE_FIELDS})),
        "device": device,
        "filters": rules,
        "vae": {"fingerprint": sources.fingerprint, "channels": sources.channels, "factor": sources.factor},
        "clip": {"fingerprint": exemplars.fingerprint, "dimension": exemplars.dimension},
        "class_names": digest_of(class_names),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def digest_of(content: Any) -> str:
    """Hash JSON content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def recipe_differences(out: Folder, recipe: Json) -> list[str]:
    """Compare a recipe with the one that an output with finished units began with.

    Args:
        recipe: without `inputs`, these are not compared.

    Returns:
        A line for each difference; empty where work can go on.
    """
    began = read_recipe(out)
    if began is None:
        return [f"recipe: neither {RECIPE} nor {MANIFEST} tells it"]
    return [
        f"{name}: {_short(began.get(name))} there, {_short(recipe.get(name))} now"
        for name in sorted(began | recipe)
        if name in recipe and began.get(name) != recipe.get(name)
    ]


def read_recipe(out: Folder) -> Json | None:
    """Read the recipe that an output began with; None where none is told."""
    content = out.read_if_there(RECIPE)
    if content is not None:
        recipe: Json = json.loads(content)
        return recipe
    manifest = out.read_if_there(MANIFEST)
    return json.loads(manifest)["recipe"] if manifest is not None else None


def finish_dataset(
    out: Folder, records: list[UnitRecord], *, recipe: Json, plan: Plan, draws: int, names: Json
) -> Json:
    """Write shards.parquet, card.md and, last, manifest.json.

    Args:
        records: of all units and draws, in order.
        names: of the encoders, for the card.

    Returns:
        The manifest.

    Raises:
        AssertionError: a sum is off, which is a fault of this program.
    """
    totals = count_totals(plan, records, draws)
    check_sums(totals)
    with out.scratch() as folder:
        shards = [record for record in records if record.shard]
        rows = [
            {"name": r.shard.name, "bytes": r.shard.bytes, "sha256": r.shard.sha256}
            | {"split": r.split, "unit": r.unit, "draw": r.draw, "samples": r.samples}
            for r in shards
            if r.shard
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=SHARDS), folder / "shards.parquet")
        table = (folder / "shards.parquet").read_bytes()
    out.write(SHARDS_TABLE, table)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "recipe": recipe,
        "recipe_digest": digest_of(recipe),
        "encoders": names,
        "draws": draws,
        "totals": totals,
        "box_drop_files": plan.box_drop_files,
        "shards": len(rows),
        "shards_sha256": hashlib.sha256(table).hexdigest(),
    }
    out.write(CARD, card(manifest).encode())
    out.write_json(MANIFEST, manifest)
    return manifest


def read_records(out: Folder) -> list[UnitRecord]:
    """Read the records of all finished units and draws, in order."""
    with ThreadPoolExecutor(READERS) as pool:
        contents = list(pool.map(lambda name: out.read(f"units/{name}"), out.names("units")))
    return [UnitRecord.from_json(json.loads(content)) for content in contents]


def count_totals(plan: Plan, records: Iterable[UnitRecord], draws: int) -> Json:
    """Add up what became of every row, box, photo and draw."""
    records = list(records)
    first = [record for record in records if record.draw == 0]
    dropped: Counter[str] = Counter()
    for record in records:
        dropped.update(record.dropped)
    boxes_lost = sum(record.boxes_lost for record in first)
    boxes_drawn = sum(record.boxes_drawn for record in records)
    return {
        "rows": plan.rows,
        "malformed": plan.malformed,
        "filtered": plan.filtered,
        "boxes_kept": plan.kept,
        "boxes_beyond_limit": plan.boxes_beyond_limit,
        "boxes_drawn": boxes_drawn,
        "boxes_not_drawn": plan.boxes_planned - boxes_drawn - boxes_lost,
        "boxes_in_lost_photos": boxes_lost,
        "photos": plan.photos,
        "photos_without_kept_box": plan.photos_without_kept_box,
        "photos_beyond_limit": plan.photos_beyond_limit,
        "photos_planned": plan.photos_planned,
        "photos_lost": sum(record.photos_lost for record in first),
        "units": plan.units,
        "draws_planned": plan.photos_planned * draws,
        "draws_dropped": dict(sorted(dropped.items())),
        "samples": sum(record.samples for record in records),
        "samples_by_split": {
            split: sum(record.samples for record in records if record.split == split) for split in SPLITS
        },
    }


def check_sums(totals: Json) -> None:
    """Check that nothing disappeared without a count.

    Raises:
        AssertionError: naming the sum that is off.
    """
    rows = sum(totals["malformed"].values()) + sum(totals["filtered"].values()) + totals["boxes_kept"]
    assert totals["rows"] == rows, f"rows {totals['rows']} != malformed + filtered + kept = {rows}"
    places = ("boxes_drawn", "boxes_not_drawn", "boxes_in_lost_photos", "boxes_beyond_limit")
    kept = sum(totals[name] for name in places)
    assert min(totals[name] for name in places) >= 0, {name: totals[name] for name in places}
    assert totals["boxes_kept"] == kept, f"kept boxes {totals['boxes_kept']} != {' + '.join(places)} = {kept}"
    draws = totals["samples"] + sum(totals["draws_dropped"].values())
    assert totals["draws_planned"] == draws, f"draws {totals['draws_planned']} != samples + dropped = {draws}"
    assert totals["samples"] == sum(totals["samples_by_split"].values()), totals["samples_by_split"]


def card(manifest: Json) -> str:
    """Describe a dataset: counts, funnel and lineage."""
    totals, recipe, encoders = manifest["totals"], manifest["recipe"], manifest["encoders"]
    splits = "\n".join(f"| {split} | {count:,} |" for split, count in totals["samples_by_split"].items())
    funnel = "\n".join(f"| {stage} | {reason} | {count:,} |" for stage, reason, count in funnel_rows(totals))
    tables = "\n".join(
        f"| {t['role']} | {t['rows']:,} | {t['bytes']:,} | `{t['sha256'][:16]}` |" for t in recipe["inputs"]
    )
    libraries = ", ".join(f"{name} {version}" for name, version in recipe["libraries"].items())
    return f"""# Paint-by-Example shards

{totals["samples"]:,} samples of {totals["photos_planned"] - totals["photos_lost"]:,} photos in {manifest["shards"]:,}
shards, {recipe["resolution"]} px, {manifest["draws"]} draws a photo, seed {recipe["seed"]}, filters
{" ".join(recipe["filters"])}. Recipe `{manifest["recipe_digest"][:16]}`.

| split | samples |
|---|---|
{splits}

## Funnel

| stage | reason | count |
|---|---|---|
{funnel}

## Lineage

| table | rows | bytes | sha256 |
|---|---|---|---|
{tables}

- VAE: {encoders["vae"]}, {recipe["vae"]["channels"]} channels at 1/{recipe["vae"]["factor"]}, fingerprint
  `{recipe["vae"]["fingerprint"][:16]}`
- Exemplar encoder: {encoders["clip"]}, {recipe["clip"]["dimension"]} numbers, fingerprint
  `{recipe["clip"]["fingerprint"][:16]}`
- Made with {libraries}
"""


def funnel_rows(totals: Json) -> list[tuple[str, str, int]]:
    """The funnel as a table: stage, reason, count; losses stand below what they are lost from."""
    return [
        ("box rows", "read", totals["rows"]),
        *(("malformed", reason, count) for reason, count in sorted(totals["malformed"].items())),
        *(("filtered", rule, count) for rule, count in sorted(totals["filtered"].items())),
        ("boxes", "kept", totals["boxes_kept"]),
        ("boxes", "beyond --limit", totals["boxes_beyond_limit"]),
        ("boxes", "in lost photos", totals["boxes_in_lost_photos"]),
        ("boxes", "not drawn", totals["boxes_not_drawn"]),
        ("boxes", "drawn", totals["boxes_drawn"]),
        ("draws", "planned", totals["draws_planned"]),
        *(("draws dropped", reason, count) for reason, count in sorted(totals["draws_dropped"].items())),
        ("samples", "written", totals["samples"]),
    ]


def read_manifest(out: Folder) -> Json:
    """Read the manifest of a finished dataset.

    Raises:
        InputError: there is none, or it has another schema version.
    """
    try:
        manifest: Json = json.loads(out.read(MANIFEST))
    except FileNotFoundError as error:
        raise InputError(
            f"{out.url}: no {MANIFEST}; it is no finished dataset: run the same shard_openimages.py command again"
        ) from error
    except ValueError as error:
        raise InputError(f"{out.url}/{MANIFEST}: {error}; run the same shard_openimages.py command again") from error
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{out.url}: schema version {manifest.get('schema_version')}, this code reads {SCHEMA_VERSION}; "
            "see CHANGELOG.md for what changed, and make the dataset anew or check out the matching version"
        )
    return manifest


def verify_unit(out: Folder, name: str, *, recipe_digest: str) -> tuple[UnitRecord | None, list[str]]:
    """Re-hash and re-count all files of one record.

    Args:
        name: of the record in `units/`.

    Returns:
        The record, and what is wrong, a line each.
    """
    try:
        record = UnitRecord.from_json(json.loads(out.read(f"units/{name}")))
    except (ValueError, TypeError, KeyError) as error:
        return None, [f"units/{name}: unreadable ({error})"]
    problems = []
    if record_path(record.unit, record.draw) != f"units/{name}" or record.recipe_digest != recipe_digest:
        problems.append(f"units/{name}: belongs to another unit or recipe")
    contents = {}
    for file in (record.shard, record.index, record.drops):
        if file is None:
            continue
        try:
            contents[file.name] = out.read(file.name)
        except FileNotFoundError:
            problems.append(f"{file.name}: missing")
            continue
        if hashlib.sha256(contents[file.name]).hexdigest() != file.sha256:
            problems.append(f"{file.name}: {len(contents[file.name]):,} bytes whose sha256 is not the recorded one")
    if problems:
        return record, problems
    drops = pq.read_table(pa.BufferReader(contents[record.drops.name]), schema=DROPS)
    reasons = Counter(f"{stage}/{reason}" for stage, reason in zip(drops["stage"], drops["reason"], strict=True))
    if dict(reasons) != record.dropped:
        problems.append(f"{record.drops.name}: drops {dict(reasons)}, the record has {record.dropped}")
    if record.planned != record.samples + sum(record.dropped.values()):
        problems.append(f"units/{name}: planned {record.planned} draws, but samples and drops are not as many")
    if record.shard and record.index:
        index = pq.read_table(pa.BufferReader(contents[record.index.name]))
        problems += _verify_index(record, index, contents[record.shard.name])
    elif record.samples:
        problems.append(f"units/{name}: {record.samples} samples, but no shard")
    return record, problems


def _verify_index(record: UnitRecord, index: pa.Table, shard: bytes) -> list[str]:
    """Check each row of an index against the shard's bytes."""
    assert record.shard and record.index
    problems = []
    if len(index) != record.samples:
        problems.append(f"{record.index.name}: {len(index)} rows, the record has {record.samples} samples")
    for row in index.to_pylist():
        span = shard[row["offset"] : row["offset"] + row["size"]]
        if row["shard"] != record.shard.name or hashlib.sha256(span).hexdigest() != row["sha256"]:
            problems.append(f"{record.index.name}: {row['key']} disagrees with {record.shard.name}")
        row_member = next((m for m in row["members"] if m["ext"] == "json"), None)
        if row_member is None:
            problems.append(f"{record.shard.name}: {row['key']} lacks .json")
            continue
        stored = json.loads(shard[row_member["offset"] :][: row_member["size"]])
        for name in ("key", "image_id", "box_id", "draw", "unit", "split", "label"):
            if stored[name] != row[name]:
                problems.append(f"{record.index.name}: {row['key']}: {name} is {row[name]}, its .json {stored[name]}")
    return problems


def verify_whole(out: Folder, manifest: Json, records: list[UnitRecord]) -> list[str]:
    """Check the dataset's tables and sums against its records.

    Args:
        records: all of them.
    """
    problems: list[str] = []
    table = _read_or_tell(out, SHARDS_TABLE, problems)
    if hashlib.sha256(table).hexdigest() != manifest["shards_sha256"]:
        problems.append(f"{SHARDS_TABLE}: its sha256 is not the one in {MANIFEST}")
    if digest_of(manifest["recipe"]) != manifest["recipe_digest"]:
        problems.append(f"{MANIFEST}: recipe and recipe_digest disagree")
    listed = {(r["name"], r["bytes"], r["sha256"], r["samples"]) for r in _rows(table, SHARDS_TABLE, SHARDS, problems)}
    recorded = {(r.shard.name, r.shard.bytes, r.shard.sha256, r.samples) for r in records if r.shard}
    problems += [f"{name}: not as {SHARDS_TABLE} has it" for name, *_ in sorted(listed ^ recorded)]
    totals = manifest["totals"]
    expected = {(unit, draw) for unit in range(totals["units"]) for draw in range(manifest["draws"])}
    missing = sorted(expected - {(record.unit, record.draw) for record in records})
    problems += [f"{record_path(*unit)}: missing" for unit in missing]
    counted: Counter[str] = Counter()
    for part in range(manifest["box_drop_files"]):
        name = BOX_DROPS.format(part=part)
        drops = _rows(_read_or_tell(out, name, problems), name, DROPS, problems)
        rows = [drop for drop in drops if drop["box_id"] is not None or drop["stage"] == "boxes"]
        counted.update(f"{drop['stage']}/{drop['reason']}" for drop in rows)
    told = {f"boxes/{reason}": count for reason, count in totals["malformed"].items()}
    told |= {f"filter/{rule}": count for rule, count in totals["filtered"].items()}
    if dict(counted) != told:
        problems.append(f"drops/boxes-*.parquet: {dict(counted)}, {MANIFEST} has {told}")
    first = [record for record in records if record.draw == 0]
    sums = {
        "samples": sum(record.samples for record in records),
        "boxes_kept": sum(record.boxes_kept for record in first) + totals["boxes_beyond_limit"],
        "boxes_drawn": sum(record.boxes_drawn for record in records),
        "boxes_in_lost_photos": sum(record.boxes_lost for record in first),
        "photos_planned": sum(record.photos for record in first),
        "photos_lost": sum(record.photos_lost for record in first),
    }
    problems += [f"{MANIFEST}: {name} {totals[name]}, counted {n}" for name, n in sums.items() if totals[name] != n]
    try:
        check_sums(totals)
    except AssertionError as error:
        problems.append(f"{MANIFEST}: {error}")
    return problems + _strangers(out, records)


def _read_or_tell(out: Folder, name: str, problems: list[str]) -> bytes:
    """Read a file; where it is absent, say so and give nothing."""
    try:
        return out.read(name)
    except FileNotFoundError:
        problems.append(f"{name}: missing")
        return b""


def _rows(content: bytes, name: str, schema: pa.Schema, problems: list[str]) -> list[Json]:
    """Read a Parquet table's rows; where it is damaged, say so and give none."""
    try:
        rows: list[Json] = pq.read_table(pa.BufferReader(content), schema=schema).to_pylist()
    except (pa.ArrowException, OSError) as error:
        problems.append(f"{name}: unreadable ({error})")
        return []
    return rows


def _strangers(out: Folder, records: list[UnitRecord]) -> list[str]:
    """Find files that no record tells of."""
    known = {drops_path(r.unit, r.draw) for r in records}
    for record in records:
        if record.shard:
            known |= {path(record.split, record.unit, record.draw) for path in (shard_path, index_path)}
    folders = ["drops/units", *(f"{kind}/{split}" for kind in ("shards", "index") for split in SPLITS)]
    found = {f"{folder}/{name}" for folder in folders for name in out.names(folder)}
    return [f"{name}: no record tells of it" for name in sorted(found - known)]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
