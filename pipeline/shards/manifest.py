"""Manifest: recipe, plan and records -> manifest.json, shards.parquet and card.md.

The manifest is written last: its existence means that the dataset is complete. Every file of it is under a digest: the
manifest holds its own and those of the tables and pictures, shards.parquet those of the records, a record those of its
shard, index and drops.
"""

import hashlib
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.planning.plan_files import PLAN
from pipeline.planning.row_counts import Plan
from pipeline.shards.card import card
from pipeline.shards.kept_boxes import PHOTOS_BY_BOXES, count_photos_by_boxes
from pipeline.shards.recipe import UNNAMED, Json, digest_of
from pipeline.shards.records import record_sha256, shards_table
from pipeline.shards.retry_intent import read_intent
from pipeline.shards.totals import box_drops_of, count_drops, count_totals, sums_off
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.drops import DROPS
from schemas.shards import (
    BOX_DROPS,
    CARD,
    CONFIG,
    FUNNEL,
    JITTERED_VERSION,
    MANIFEST,
    OVERVIEW,
    SCHEMA_VERSION,
    SHARDS_TABLE,
    UnitRecord,
    json_bytes,
    record_path,
)

RECIPE = "run/recipe.json"


def recipe_differences(out: Folder, recipe: Json) -> list[str]:
    """Compare a recipe with the one that an output with finished units began with.

    Args:
        recipe: without `inputs`, these are not compared.

    Returns:
        A line for each difference; empty where work can go on.
    """
    began = read_recipe(out)
    if began is None:
        return [f"recipe: neither {RECIPE} nor {MANIFEST} holds it"]
    began, recipe = {**UNNAMED, **began}, {**UNNAMED, **recipe}
    others = [
        f"{name}: {_short(began.get(name))} there, {_short(recipe.get(name))} now"
        for name in sorted(began | recipe)
        if name != "rules" and name in recipe and began.get(name) != recipe.get(name)
    ]
    if began["rules"] == recipe["rules"]:
        return others
    return [
        f"rules {began['rules']}, this version's are {recipe['rules']}: it can be read, but only code of its rules can "
        "go on",
        *others,
    ]


def read_recipe(out: Folder) -> Json | None:
    """Read the recipe that an output began with; None where nothing says it."""
    content = out.read_if_there(RECIPE)
    with suppress(ValueError):  # cut short: the manifest may know it
        if content is not None and isinstance(recipe := json.loads(content), dict):
            return recipe
    try:
        recorded: Json = read_manifest(out)["recipe"]
    except InputError:
        return None
    return recorded


def read_config(out: Folder) -> Json:
    """Read the flags of the run that made a dataset; empty where nothing says them any more."""
    with suppress(ValueError):  # cut short: as good as missing
        found = json.loads(out.read_if_there(CONFIG) or b"{}")
        return found if isinstance(found, dict) else {}
    return {}


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
        AssertionError: a sum is off, which is a bug.
    """
    totals = {**count_totals(plan, records, draws), PHOTOS_BY_BOXES: count_photos_by_boxes(out, records)}
    off = sums_off(totals, records)
    assert not off, off
    _check_box_drops(out, totals, plan.box_drop_files)
    table = shards_table(records)
    with out.scratch() as folder:
        pq.write_table(table, folder / "shards.parquet")
        out.publish(folder / "shards.parquet", SHARDS_TABLE)
    manifest = {
        "schema_version": recipe["schema_version"],
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


def _digest_files(out: Folder, box_drop_files: int) -> dict[str, str]:
    """Hash the files that belong to no unit, without the pictures that are not there."""
    parts = [BOX_DROPS.format(part=part) for part in range(box_drop_files)]
    contents = {name: out.read_if_there(name) for name in (OVERVIEW, FUNNEL)}
    contents |= {name: out.read(name) for name in (SHARDS_TABLE, CARD, *parts)}
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items() if content is not None}


def _check_box_drops(out: Folder, totals: Json, box_drop_files: int) -> None:
    """Check that the drops before units are those that the plan counted.

    Raises:
        InputError: a file is missing or damaged, or their counts are off.
    """
    counted: Counter[str] = Counter()
    advice = f"remove {PLAN} there and run the same command again, which plans anew"
    for part in range(box_drop_files):
        name = BOX_DROPS.format(part=part)
        try:
            counted.update(count_drops(table_from(out.read(name)).cast(DROPS)))
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{out.url}/{name}: cannot be read ({error}); {advice}") from error
    if dict(counted) != box_drops_of(totals):
        raise InputError(
            f"{out.url}/drops/boxes-*.parquet: {dict(counted)}, the plan counted {box_drops_of(totals)}; {advice}"
        )


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
        retried = len(read_intent(out).units)
        why = f"--retry-drops has begun to make units anew ({retried:,})" if retried else "it is not a finished dataset"
        raise InputError(f"{out.url}: no {MANIFEST}; {why}: run the command that makes it again") from error
    except IsADirectoryError as error:
        raise _damaged_manifest(out, "a folder") from error
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _damaged_manifest(out, str(error)) from error
    if not isinstance(manifest, dict) or "schema_version" not in manifest:
        raise _damaged_manifest(out, "no schema_version")
    refuse_other_version(out, manifest["schema_version"])
    if not _is_as_written(content, manifest):
        raise _damaged_manifest(out, "its content is not the one that its sha256 is of")
    return manifest


def _is_as_written(content: bytes, manifest: Json) -> bool:
    """Whether a manifest has the digest of its own content, in the one form that it is written in."""
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


def refuse_other_version(out: Folder, version: Any) -> None:
    """Refuse a dataset whose format this code does not read.

    Raises:
        InputError: saying which side is older, and what to do.
    """
    if version in (SCHEMA_VERSION, JITTERED_VERSION):
        return
    later = isinstance(version, int) and version > JITTERED_VERSION
    side = "a later version; upgrade this code" if later else "an earlier version; make it anew, or check out that code"
    raise InputError(
        f"{out.url}/{MANIFEST}: schema version {version}, this code reads {SCHEMA_VERSION} and {JITTERED_VERSION}: the "
        f"dataset was made by {side} (see CHANGELOG.md)"
    )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:197]}..."  # a preset of filters and the digest of --deny fit
