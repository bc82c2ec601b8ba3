"""Shards: encoded samples -> a tar, its index, and samples back from them by byte range.

Tars are written and read by webdataset and tarfile; the index is made by reading the finished tar.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset as wds

from pipeline.shards.samples import Row, read_spans
from pipeline.storage.folder import Folder
from pipeline.storage.whole_files import sha256_of
from schemas.samples import INDEX, ROW_EXT
from schemas.shards import FileDigest


class TarOfSamples:
    """A shard in the making: samples stream to a tar on local disk, which is indexed when it is complete."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema = INDEX) -> None:
        self._tar = folder / f"{name}.tar"
        self._index = folder / f"{name}.parquet"
        self._file = _Discardable(self._tar)
        self._writer = wds.TarWriter(self._file, encoder=False, mtime=0)
        self._schema = schema
        self._rows: list[Row] = []

    @property
    def samples(self) -> int:
        """Samples written so far."""
        return len(self._rows)

    def add(self, row: Row, members: dict[str, bytes]) -> None:
        """Append a sample.

        Args:
            row: as schemas.samples.SAMPLE.
            members: content by extension; the row's own .json is added here.
        """
        text = json.dumps(row, sort_keys=True, ensure_ascii=False, default=_plain)
        self._writer.write({"__key__": row["key"], ROW_EXT: text.encode(), **members})
        self._rows.append(row)

    def discard(self) -> None:
        """Give the shard up; a disk that is full would take not even the end of its tar."""
        self._file.discarded = True
        self._writer.close()
        self._file.close()

    def finish(self, out: Folder, *, shard: str, index: str) -> tuple[FileDigest, FileDigest]:
        """Close the tar, index it, and bring both to their places in the dataset."""
        self._writer.close()
        self._file.close()
        with self._tar.open("rb") as file:
            spans = list(read_spans(file))
        rows = [{**row, "shard": shard, **span} for row, span in zip(self._rows, spans, strict=True)]
        pq.write_table(pa.Table.from_pylist(rows, schema=self._schema), self._index)
        return publish_file(out, self._tar, shard), publish_file(out, self._index, index)


class _Discardable(io.FileIO):
    """A file to write that can be given up: from then on it takes all and writes nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "wb")
        self.discarded = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        done = 0
        while done < len(view) and not self.discarded:
            done += super().write(view[done:]) or 0
        return len(view)


def publish_file(out: Folder, built: Path, name: str) -> FileDigest:
    """Bring a finished local file to its place in the dataset."""
    digest = FileDigest(name, built.stat().st_size, sha256_of(built))
    out.publish(built, name)
    return digest


def _plain(value: Any) -> Any:
    """Show numpy numbers in JSON; a float32 by its shortest digits."""
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, np.integer):
        return int(value)
    raise TypeError(f"{type(value)} has no JSON form")
