"""Manifest: recipe, plan and records -> manifest.json, shards.parquet and card.md.

The manifest is written last: its existence means that the dataset is complete. Every file of it is under a digest: the
manifest holds its own and those of the tables and pictures, shards.parquet those of the records, a record those of its
shard, index and drops.
"""

import hashlib
import importlib.metadata
import json
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import ShardConfig
from pipeline.encoders.vae import ExemplarEncoder, SourceEncoder
from pipeline.errors import InputError
from pipeline.planning.plan import PLAN, Plan
from pipeline.storage.folder import Folder
from schemas.drops import DROPS
from schemas.shards import (
    BOX_DROPS,
    CARD,
    FUNNEL,
    MANIFEST,
    OVERVIEW,
    RECORD_NAME,
    SCHEMA_VERSION,
    SHARDS,
    SHARDS_TABLE,
    SPLITS,
    UnitRecord,
    json_bytes,
    record_path,
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
    with suppress(ValueError):  # cut short: the manifest may know it
        if content is not None and isinstance(recipe := json.loads(content), dict):
            return recipe
    try:
        found: Json = read_manifest(out)["recipe"]
    except InputError:
        return None
    return found


def finish_dataset(
    out: Folder, records: list[UnitRecord], *, recipe: Json, plan: Plan, draws: int, names: Json
) -> Json:
    """Write shards.parquet, card.md and, last, manifest.json, which takes the digests of the pictures that are there.

    Args:
        records: of all units and draws, in order.
        names: of the encoders, for the card.

    Returns:
        The manifest.

    Raises:
        InputError: the drops of boxes are not those of the plan.
        AssertionError: a sum is off, which is a fault of this program.
    """
    totals = count_totals(plan, records, draws)
    off = sums_off(totals, records)
    assert not off, off
    _check_box_drops(out, totals, plan.box_drop_files)
    table = shards_table(records)
    with out.scratch() as folder:
        pq.write_table(table, folder / "shards.parquet")
        out.publish(folder / "shards.parquet", SHARDS_TABLE)
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "recipe": recipe,
        "recipe_digest": digest_of(recipe),
        "encoders": names,
        "draws": draws,
        "totals": totals,
        "box_drop_files": plan.box_drop_files,
        "shards": len(table),
        "records_without_shard": {record_path(r.unit, r.draw): record_sha256(r) for r in records if r.shard is None},
    }
    out.write(CARD, card(manifest).encode())
    manifest["files"] = _digest_files(out, plan.box_drop_files)
    manifest = {**manifest, "sha256": digest_of(manifest)}
    out.write(MANIFEST, json_bytes(manifest))
    return manifest


def shards_table(records: Iterable[UnitRecord]) -> pa.Table:
    """Make SHARDS of the records that have a shard."""
    rows = [
        {"name": r.shard.name, "bytes": r.shard.bytes, "sha256": r.shard.sha256, "record_sha256": record_sha256(r)}
        | {"split": r.split, "unit": r.unit, "draw": r.draw, "samples": r.samples}
        for r in records
        if r.shard
    ]
    return pa.Table.from_pylist(rows, schema=SHARDS)


def record_sha256(record: UnitRecord) -> str:
    """Hash a record as it is written."""
    return hashlib.sha256(json_bytes(asdict(record))).hexdigest()


def _digest_files(out: Folder, box_drop_files: int) -> dict[str, str]:
    """Hash the files of a whole dataset, without the pictures that are not there."""
    parts = [BOX_DROPS.format(part=part) for part in range(box_drop_files)]
    contents = {name: out.read_if_there(name) for name in (OVERVIEW, FUNNEL)}
    contents |= {name: out.read(name) for name in (SHARDS_TABLE, CARD, *parts)}
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items() if content is not None}


def _check_box_drops(out: Folder, totals: Json, box_drop_files: int) -> None:
    """Check that the drops before units are those that the plan counted.

    Raises:
        InputError: a file is absent or damaged, or their counts are off.
    """
    counted: Counter[str] = Counter()
    advice = f"remove {PLAN} there and run the same command again, which plans anew"
    for part in range(box_drop_files):
        name = BOX_DROPS.format(part=part)
        try:
            counted.update(count_drops(pq.read_table(pa.BufferReader(out.read(name)), schema=DROPS)))
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{out.url}/{name}: cannot be read ({error}); {advice}") from error
    if dict(counted) != box_drops_of(totals):
        raise InputError(
            f"{out.url}/drops/boxes-*.parquet: {dict(counted)}, the plan counted {box_drops_of(totals)}; {advice}"
        )


def count_drops(drops: pa.Table) -> dict[str, int]:
    """Count DROPS by `stage/reason`."""
    groups = drops.group_by(["stage", "reason"]).aggregate([([], "count_all")]).to_pylist()
    return {f"{group['stage']}/{group['reason']}": group["count_all"] for group in groups}


def box_drops_of(totals: Json) -> dict[str, int]:
    """The drops before units that the totals tell of, by `stage/reason`."""
    told = {f"boxes/{reason}": count for reason, count in totals["malformed"].items()}
    told |= {f"filter/{rule}": count for rule, count in totals["filtered"].items()}
    return {name: n for name, n in {**told, "filter/no_kept_box": totals["photos_without_kept_box"]}.items() if n}


def read_records(out: Folder) -> list[UnitRecord]:
    """Read the records of all finished units and draws, in order.

    Raises:
        InputError: one is damaged.
    """

    def read(name: str) -> UnitRecord:
        try:
            return UnitRecord.from_json(json.loads(out.read(f"units/{name}")))
        except ValueError as error:
            raise InputError(
                f"{out.url}/units/{name}: unreadable ({error}); remove it and run the same command again, which makes "
                "its shard anew"
            ) from error

    names = [name for name in out.names("units") if RECORD_NAME.fullmatch(name)]
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(read, names))


def count_totals(plan: Plan, records: Iterable[UnitRecord], draws: int) -> Json:
    """Add up what became of every row, box, photo and draw."""
    sums = sum_records(records)
    drawn, lost = sums["boxes_drawn"], sums["boxes_in_lost_photos"]
    return {
        "rows": plan.rows,
        "malformed": plan.malformed,
        "filtered": plan.filtered,
        "boxes_kept": plan.kept,
        "boxes_beyond_limit": plan.boxes_beyond_limit,
        "boxes_drawn": drawn,
        "boxes_not_drawn": plan.boxes_planned - drawn - lost,
        "boxes_in_lost_photos": lost,
        "photos": plan.photos,
        "photos_without_kept_box": plan.photos_without_kept_box,
        "photos_beyond_limit": plan.photos_beyond_limit,
        "photos_planned": plan.photos_planned,
        "photos_lost": sums["photos_lost"],
        "units": plan.units,
        "draws_planned": plan.photos_planned * draws,
        "draws_dropped": sums["draws_dropped"],
        "samples": sums["samples"],
        "samples_by_split": sums["samples_by_split"],
    }


def sum_records(records: Iterable[UnitRecord]) -> Json:
    """Add up what the records alone tell, under the names of the totals."""
    records = list(records)
    first = [record for record in records if record.draw == 0]
    dropped: Counter[str] = Counter()
    for record in records:
        dropped.update(record.dropped)
    return {
        "units": len(first),
        "photos_planned": sum(record.photos for record in first),
        "photos_lost": sum(record.photos_lost for record in first),
        "boxes_drawn": sum(record.boxes_drawn for record in records),
        "boxes_in_lost_photos": sum(record.boxes_lost for record in first),
        "draws_planned": sum(record.planned for record in records),
        "draws_dropped": dict(sorted(dropped.items())),
        "samples": sum(record.samples for record in records),
        "samples_by_split": {
            split: sum(record.samples for record in records if record.split == split) for split in SPLITS
        },
    }


def sums_off(totals: Json, records: list[UnitRecord]) -> list[str]:
    """Check that nothing disappeared without a count, from rows to samples.

    Returns:
        The sums that are off, a line each.
    """
    malformed, filtered = sum(totals["malformed"].values()), sum(totals["filtered"].values())
    places = ("boxes_drawn", "boxes_not_drawn", "boxes_in_lost_photos", "boxes_beyond_limit")
    photos = ("photos_without_kept_box", "photos_beyond_limit", "photos_planned")
    in_units = sum(record.boxes_kept for record in records if record.draw == 0)
    dropped = sum(totals["draws_dropped"].values())
    sums = {
        "rows = malformed + filtered + boxes_kept": (totals["rows"], malformed + filtered + totals["boxes_kept"]),
        f"boxes_kept = {' + '.join(places)}": (totals["boxes_kept"], sum(totals[name] for name in places)),
        "boxes_kept = in units + boxes_beyond_limit": (totals["boxes_kept"], in_units + totals["boxes_beyond_limit"]),
        f"photos = {' + '.join(photos)}": (totals["photos"], sum(totals[name] for name in photos)),
        "draws_planned = samples + draws_dropped": (totals["draws_planned"], totals["samples"] + dropped),
        **{f"{name} = by the records": (totals[name], count) for name, count in sum_records(records).items()},
    }
    off = [f"{name}: {told} is not {count}" for name, (told, count) in sums.items() if told != count]
    return off + [f"{name} {totals[name]} is negative" for name in places if totals[name] < 0]


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
{" ".join(recipe["filters"]) or "none"}. Recipe `{manifest["recipe_digest"][:16]}`.

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
        InputError: there is none, it is damaged, or it has another schema version.
    """
    try:
        content = out.read(MANIFEST)
    except (FileNotFoundError, NotADirectoryError) as error:
        if out.local and not Path(out.path("")).exists():
            raise InputError(f"{out.url}: no such folder; give a dataset's") from error
        raise InputError(
            f"{out.url}: no {MANIFEST}; it is no finished dataset: run the command that makes it again"
        ) from error
    except IsADirectoryError as error:
        raise _damaged_manifest(out, "a folder") from error
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged_manifest(out, str(error)) from error
    if not isinstance(manifest, dict) or "schema_version" not in manifest:
        raise _damaged_manifest(out, "no schema_version")
    _refuse_other_version(out, manifest["schema_version"])
    if not _is_as_written(content, manifest):
        raise _damaged_manifest(out, "its content is not the one that its sha256 is of")
    return manifest


def _is_as_written(content: bytes, manifest: Json) -> bool:
    """Tell whether a manifest has the digest of its own content, in the one form that it is written in."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    try:
        return content == json_bytes(manifest) and manifest.get("sha256") == digest_of(rest)
    except UnicodeEncodeError:  # JSON can hold half a character, a file written as UTF-8 cannot
        return False


def _damaged_manifest(out: Folder, what: str) -> InputError:
    return InputError(
        f"{out.url}/{MANIFEST}: damaged ({what}); remove it and run the command that made it again, which writes it "
        "anew"
    )


def _refuse_other_version(out: Folder, version: Any) -> None:
    """Refuse a dataset whose format this code does not read.

    Raises:
        InputError: saying which side is older, and what to do.
    """
    if version == SCHEMA_VERSION:
        return
    later = isinstance(version, int) and version > SCHEMA_VERSION
    side = "a later version; upgrade this code" if later else "an earlier version; make it anew, or check out that code"
    raise InputError(
        f"{out.url}/{MANIFEST}: schema version {version}, this code reads {SCHEMA_VERSION}: the dataset was made by "
        f"{side} (CHANGELOG.md tells what changed)"
    )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
