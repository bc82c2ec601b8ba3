"""Shards: encoded samples -> a tar, its index, and samples back from them by byte range.

Tars are written and read by webdataset and tarfile; the index is made by reading the finished tar.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
import webdataset as wds
from numpy.typing import NDArray

from pipeline.draws.exemplars import decode_jpeg
from pipeline.photos.decode import Pixels
from pipeline.storage.folder import Folder, sha256_of
from schemas.samples import EXEMPLAR_EXT, INDEX, ROW_EXT, SAMPLE, SOURCE_EXT, TENSORS_EXT
from schemas.shards import FileDigest

Row = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A sample read back from its shard.

    Args:
        row: its index row.
        latent, masked_latent: [c, h, w] float16.
        exemplar: [d] float16, of the augmented exemplar.
        exemplar_pixels: [224, 224, 3] uint8, unaugmented.
        source: [resolution, resolution, 3] uint8, or None where the dataset does not keep it.
    """

    row: Row
    latent: NDArray[np.float16]
    masked_latent: NDArray[np.float16]
    exemplar: NDArray[np.float16]
    exemplar_pixels: Pixels
    source: Pixels | None


class ShardWriter:
    """Stream samples to a tar on local disk, and index it when it is done."""

    def __init__(self, folder: Path, name: str) -> None:
        self._tar = folder / f"{name}.tar"
        self._index = folder / f"{name}.parquet"
        self._file = _Discardable(self._tar)
        self._writer = wds.TarWriter(self._file, encoder=False, mtime=0)
        self._rows: list[Row] = []

    @property
    def samples(self) -> int:
        """Samples written so far."""
        return len(self._rows)

    def write(self, row: Row, members: dict[str, bytes]) -> None:
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
        pq.write_table(pa.Table.from_pylist(rows, schema=INDEX), self._index)
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


def tensor_member(
    latent: NDArray[np.float16], masked_latent: NDArray[np.float16], exemplar: NDArray[np.float16]
) -> bytes:
    """Pack a sample's arrays as one safetensors member."""
    arrays = {"latent": latent, "masked_latent": masked_latent, "exemplar": exemplar}
    packed: bytes = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return packed


def read_spans(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Find each sample in a tar: its key, its span, headers included, its members, and the span's sha256.

    Raises:
        tarfile.TarError, ValueError: it is no tar of samples.
    """
    with tarfile.open(fileobj=file, mode="r:") as archive:
        members = archive.getmembers()
    ends = [member.offset for member in members[1:]] + ([_end_of(members[-1])] if members else [])
    samples: dict[str, list[tuple[str, tarfile.TarInfo, int]]] = {}
    for member, end in zip(members, ends, strict=True):
        key, dot, ext = member.name.partition(".")
        if not dot:
            raise ValueError(f"member {member.name!r} has no extension")
        samples.setdefault(key, []).append((ext, member, end))
    for key, parts in samples.items():
        offset, end = parts[0][1].offset, parts[-1][2]
        file.seek(offset)
        yield {
            "key": key,
            "offset": offset,
            "size": end - offset,
            "members": [{"ext": ext, "offset": member.offset_data, "size": member.size} for ext, member, _ in parts],
            "sha256": hashlib.sha256(file.read(end - offset)).hexdigest(),
        }


def read_index(out: Folder, name: str) -> pa.Table:
    """Read the index of one shard.

    Raises:
        FileNotFoundError: it is absent.
    """
    return pq.read_table(pa.BufferReader(out.read(name)), schema=INDEX)


def read_sample(out: Folder, row: Row) -> Sample:
    """Read one sample by one range request, as its index row tells."""
    span = out.read_range(row["shard"], row["offset"], row["size"])
    members = {m["ext"]: span[m["offset"] - row["offset"] :][: m["size"]] for m in row["members"]}
    arrays = safetensors.numpy.load(members[TENSORS_EXT])
    source = decode_jpeg(members[SOURCE_EXT]) if SOURCE_EXT in members else None
    stored = {name: row[name] for name in SAMPLE.names}
    return Sample(
        stored,
        arrays["latent"],
        arrays["masked_latent"],
        arrays["exemplar"],
        decode_jpeg(members[EXEMPLAR_EXT]),
        source,
    )


def _end_of(member: tarfile.TarInfo) -> int:
    """Where a member ends, padded to whole tar blocks."""
    return member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _plain(value: Any) -> Any:
    """Show numpy numbers in JSON; a float32 by its shortest digits."""
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, np.integer):
        return int(value)
    raise TypeError(f"{type(value)} has no JSON form")
