"""A dataset changed behind sound digests: all that is recorded of its files is true of what they are now."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import webdataset as wds

from pipeline.shards.recipe import digest_of
from pipeline.shards.records import read_records, shards_table
from pipeline.shards.samples import read_spans
from pipeline.storage.folder import Folder
from schemas.shards import json_bytes, record_path


def sign(manifest: dict[str, object]) -> dict[str, object]:
    """Give a manifest the digest of its content, as if it had been written so."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    return {**rest, "sha256": digest_of(rest)}


def sign_chain(dataset: Path) -> None:
    """Give records, shards.parquet and manifest the digests of what the files are now."""
    out = Folder(str(dataset))
    records = []
    for record in read_records(out):
        parts = {name: getattr(record, name) for name in ("shard", "index", "drops")}
        files = {name: file and (dataset / file.name).read_bytes() for name, file in parts.items()}
        digests = {
            name: file and replace(file, bytes=len(files[name]), sha256=hashlib.sha256(files[name]).hexdigest())
            for name, file in parts.items()
        }
        records.append(replace(record, **digests))
        out.write(record_path(record.unit, record.draw), json_bytes(records[-1].to_json()))
    pq.write_table(shards_table(records), dataset / "shards.parquet")
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["files"] = {name: hashlib.sha256((dataset / name).read_bytes()).hexdigest() for name in manifest["files"]}
    (dataset / "manifest.json").write_bytes(json_bytes(sign(manifest)))


def change_index(dataset: Path, change: Callable[[list[dict[str, Any]]], object]) -> str:
    """Change the rows of one index, and let all digests agree with it."""
    path = sorted(dataset.glob("index/train/*.parquet"))[0]
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path)
    sign_chain(dataset)
    return str(path.relative_to(dataset))


def rewrite_shard(dataset: Path, change: Callable[[dict[str, dict[str, bytes]]], object]) -> str:
    """Change the members of one shard's samples, with an index and digests that agree with it."""
    index = sorted(dataset.glob("index/train/*.parquet"))[0]
    shard = dataset / "shards/train" / f"{index.stem}.tar"
    rows = pq.read_table(index).to_pylist()
    data = shard.read_bytes()
    samples = {
        row["key"]: {m["ext"]: data[m["offset"] : m["offset"] + m["size"]] for m in row["members"]} for row in rows
    }
    change(samples)
    with shard.open("wb") as file:
        writer = wds.TarWriter(file, encoder=False, mtime=0)
        for key, members in samples.items():
            writer.write({"__key__": key, **members})
        writer.close()
    with shard.open("rb") as file:
        spans = list(read_spans(file))
    rows = [{**row, **span} for row, span in zip(rows, spans, strict=True)]
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(index)), index)
    sign_chain(dataset)
    return str(shard.relative_to(dataset))
