"""Scores files: a part's pictures -> its scores as Parquet, and whether they still hold. Imports no torch."""

import io
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pbe.evaluation.running.comparison import Part
from pbe.evaluation.running.editing import MadePart
from pbe.evaluation.running.records import THREADS, PartRecord
from pbe.evaluation.running.scorer import Scorer
from pipeline.shards.recipe import digest_of
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.scores import SCORES

STAMP = b"pbe.scores"


def write_scores(out: Folder, made: MadePart, scorer: Scorer) -> None:
    """Score a part's pictures. Failed cases have rows, too: without numbers, with the reason."""
    table = pa.Table.from_pylist(scorer.score(made), SCORES)
    content = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({STAMP: _stamp(made.record, scorer.settings)}), content)
    out.write(made.part.scores, content.getvalue())


def read_scores(
    out: Folder, parts: Iterable[tuple[Part, PartRecord]], settings: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Read rows of SCORES by the parts' names, of those parts whose scores are of these pictures and settings."""
    listed = list(parts)
    with ThreadPoolExecutor(THREADS) as pool:
        tables = pool.map(partial(_read, out, settings), listed)
        return {part.name: table for (part, _), table in zip(listed, tables, strict=True) if table is not None}


def _read(out: Folder, settings: Mapping[str, Any], given: tuple[Part, PartRecord]) -> list[dict[str, Any]] | None:
    part, record = given
    content = out.read_if_there(part.scores)
    if content is None:
        return None
    try:
        table = table_from(content)
    except (pa.ArrowException, OSError):  # torn: as good as missing
        return None
    if (table.schema.metadata or {}).get(STAMP) != _stamp(record, settings) or table.schema.names != SCORES.names:
        return None
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _stamp(record: PartRecord, settings: Mapping[str, Any]) -> bytes:
    """Digest what scores follow from: the pictures, and how they are scored."""
    return digest_of({"record": json.loads(record.to_json()), "scoring": dict(settings)}).encode()
