"""Rows: a dataset, finished or not -> the samples to look at, with what the index and `quality` know of each."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dashboards.conditions import Condition, as_filter
from dashboards.quality import NEEDED, QUALITY, measure
from pipeline.ahead import work_ahead
from pipeline.errors import InputError
from pipeline.planning.plan_files import read_units
from pipeline.rng import rng_for
from pipeline.shards.manifest import read_config, read_manifest, read_recipe, refuse_other_version
from pipeline.shards.recipe import Json, digest_of, share_jittered
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.samples import INDEX, index_schema
from schemas.shards import MANIFEST, RECORD_NAME, SHARDS, SHARDS_TABLE, UnitRecord, index_path

READERS = 8
Say = Callable[[str], None]
Progress = Callable[[int], Any]


@dataclass(frozen=True)
class ShardPlace:
    """A shard that can be looked at: where its index lies, and its samples."""

    index: str
    samples: int


@dataclass(frozen=True)
class OpenedDataset:
    """A dataset on disk.

    Args:
        recipe: what decided its bytes.
        manifest: None while it is unfinished.
        records: of an unfinished dataset; of a finished one its table of shards says as much.
        shards: those that hold samples.
        planned: of an unfinished dataset, how many records it will have; None: not known.
    """

    folder: Folder
    recipe: Json
    manifest: Json | None
    records: tuple[UnitRecord, ...]
    shards: tuple[ShardPlace, ...]
    planned: int | None = None

    @property
    def samples(self) -> int:
        return sum(shard.samples for shard in self.shards)

    @property
    def digest(self) -> str:
        """Of the recipe: datasets with equal digests have equal samples, as far as both are made."""
        return digest_of(self.recipe)

    @property
    def state(self) -> str:
        """How far it is, in words: `complete`, or how many shards there are so far."""
        if self.manifest is not None:
            return "complete"
        if self.planned is not None:
            return f"unfinished: {len(self.records):,} of {self.planned:,} shards so far"
        return f"unfinished: {len(self.records):,} finished shards so far, no {MANIFEST} yet"


@dataclass(frozen=True)
class ChosenRows:
    """Samples to look at.

    Args:
        table: INDEX, as the dataset has it, and QUALITY, in the order of units, draws and rows.
        matched: samples that match all conditions.
        missing: indexes that could not be read, each with why.
        cut: a limit left some of them out.
    """

    table: pa.Table
    matched: int
    missing: tuple[str, ...]
    cut: bool = False


def is_dataset(folder: Folder) -> bool:
    """Whether a folder holds a dataset, or the beginning of one."""
    if folder.read_if_there(MANIFEST) is not None:
        return True
    return any(RECORD_NAME.fullmatch(name) for name in folder.names("units"))


def open_rows(folder: Folder) -> OpenedDataset:
    """Open a dataset, finished or not; reads its manifest and table of shards, or its records.

    Raises:
        InputError: it has another schema version, is damaged, or nothing of it is finished.
    """
    if folder.read_if_there(MANIFEST) is not None:
        manifest = read_manifest(folder)
        table = _read_shards(folder)
        places = [
            ShardPlace(index_path(row["split"], row["unit"], row["draw"]), row["samples"]) for row in table.to_pylist()
        ]
        return OpenedDataset(folder, manifest["recipe"], manifest, (), tuple(places))
    records = read_records(folder)
    if not records:
        raise InputError(f"{folder.url}: no finished shard yet; run the shard job, and look again once it has made one")
    refuse_other_version(folder, records[0].schema_version)
    recipe = read_recipe(folder)
    if recipe is None:
        raise InputError(
            f"{folder.url}: unfinished, and without its recipe (run/recipe.json); run the command that makes it again"
        )
    filled = [ShardPlace(record.index.name, record.samples) for record in records if record.index]
    return OpenedDataset(folder, recipe, None, tuple(records), tuple(filled), _count_planned(folder))


def choose_rows(
    dataset: OpenedDataset,
    conditions: Sequence[Condition] = (),
    *,
    limit: int,
    seed: int = 0,
    progress: Progress = lambda shards: None,
) -> ChosenRows:
    """Choose samples: those that match all conditions, of these a seeded choice of at most `limit`.

    A larger limit chooses the same samples and more. Without conditions only the indexes of chosen samples are read.
    Conditions on columns of the index are pushed down to Parquet; those on QUALITY are tried on what is left.

    Args:
        limit: 0: all.
        progress: called with the number of indexes read so far.

    Returns:
        The samples; an index that is gone or damaged is left out and named.
    """
    shards, missing = dataset.shards, list[str]()
    rows_of: list[Any] = [np.arange(shard.samples) for shard in shards]
    if conditions:
        found = _match(dataset, conditions, progress)
        rows_of = [rows if not isinstance(rows, str) else np.arange(0) for rows in found]
        missing += [rows for rows in found if isinstance(rows, str)]
    ends = np.cumsum([0, *map(len, rows_of)])
    matched = int(ends[-1])
    chosen, cut = np.arange(matched), 0 < limit < matched
    if cut:
        chosen = np.sort(rng_for(seed, "browse").permutation(matched)[:limit])
    by_shard = np.split(chosen, np.searchsorted(chosen, ends[1:-1])) if len(shards) else []
    wanted = [
        (shard, rows[places - first])
        for shard, rows, places, first in zip(shards, rows_of, by_shard, ends[:-1], strict=True)
        if len(places)
    ]
    schema = index_schema(share_jittered(dataset.recipe))
    tables = [schema.empty_table()]
    with ThreadPoolExecutor(READERS) as pool:
        parts = work_ahead(pool, lambda part: _take(dataset.folder, *part, schema), wanted, ahead=READERS)
        for number, part in enumerate(parts, start=1):
            if isinstance(part, str):
                missing.append(part)
            else:
                tables.append(part)
            progress(number)
    table = pa.concat_tables(tables).combine_chunks()
    return ChosenRows(_with_quality(table, dataset.recipe["resolution"]), matched, tuple(dict.fromkeys(missing)), cut)


def read_parquet(folder: Folder, name: str, schema: pa.Schema) -> pa.Table:
    """Read the columns of a schema from a Parquet file of a dataset.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged; how, in one line.
        OSError: storage failed.
    """
    content = folder.read(name)
    try:
        return table_from(content, schema.names).cast(schema)
    except (
        pa.ArrowException,
        KeyError,
        ValueError,
        OSError,
    ) as error:  # Arrow says OSError of bytes, too, that are no Parquet
        raise ValueError(" ".join(str(error).split())[:100]) from error


def _match(dataset: OpenedDataset, conditions: Sequence[Condition], progress: Progress) -> list[Any]:
    """Find the rows of each shard that match: [n] row numbers, or why the index cannot be read."""
    stored = [condition for condition in conditions if condition.column in INDEX.names]
    measured = [condition for condition in conditions if condition.column in QUALITY.names]
    columns = sorted({condition.column for condition in stored} | set(NEEDED if measured else ()) | {"key"})

    def match(shard: ShardPlace) -> Any:
        table = _read(dataset.folder, shard, pa.schema([INDEX.field(name) for name in columns]))
        if isinstance(table, str):
            return table
        table = table.append_column("row", pa.array(np.arange(len(table))))
        if stored:
            table = table.filter(as_filter(stored))
        if measured:
            quality = measure(table, resolution=dataset.recipe["resolution"])
            quality = quality.append_column("row", table["row"])
            table = quality.filter(as_filter(measured))
        return table["row"].to_numpy()

    found = []
    with ThreadPoolExecutor(READERS) as pool:
        for number, rows in enumerate(work_ahead(pool, match, dataset.shards, ahead=READERS), start=1):
            found.append(rows)
            progress(number)
    return found


def _take(folder: Folder, shard: ShardPlace, rows: Any, schema: pa.Schema) -> Any:
    """Read some rows of a shard's index, or say why not."""
    table = _read(folder, shard, schema)
    return table if isinstance(table, str) else table.take(pa.array(rows))


def _read(folder: Folder, shard: ShardPlace, schema: pa.Schema) -> Any:
    """Read columns of a shard's index, or say why not."""
    try:
        table = read_parquet(folder, shard.index, schema)
    except FileNotFoundError:
        return f"{shard.index}: missing"
    except ValueError as error:
        return f"{shard.index}: damaged ({error})"
    if len(table) != shard.samples:
        return f"{shard.index}: {len(table)} rows, its record has {shard.samples}"
    return table


def _with_quality(table: pa.Table, resolution: int) -> pa.Table:
    quality = measure(table, resolution=resolution)
    for name in QUALITY.names:
        table = table.append_column(QUALITY.field(name), quality[name])
    return table


def _count_planned(folder: Folder) -> int | None:
    """Count the shards of a job's plan; None where its plan or its draws are not there, or torn."""
    try:
        draws = read_config(folder)["draws"]
        return len(read_units(folder)) * int(draws)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def _read_shards(folder: Folder) -> pa.Table:
    try:
        return read_parquet(folder, SHARDS_TABLE, SHARDS)
    except (FileNotFoundError, ValueError) as error:
        fault = "missing" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
        raise InputError(
            f"{folder.url}/{SHARDS_TABLE}: {fault}; remove {MANIFEST} and run the shard job again, which writes both"
        ) from error
