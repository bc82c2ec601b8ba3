"""Samples: a shard and its index -> samples by key."""

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import safetensors.numpy
from numpy.typing import NDArray

from pipeline.arrays import Pixels
from pipeline.decoding.jpeg import decode_jpeg
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.samples import EXEMPLAR_EXT, SAMPLE, SOURCE_EXT, TENSORS_EXT, index_schema

Row = dict[str, Any]
_EXPONENT = 0x7C00  # of a float16


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


def tensor_member(
    latent: NDArray[np.float16], masked_latent: NDArray[np.float16], exemplar: NDArray[np.float16]
) -> bytes:
    """Pack a sample's arrays as one safetensors member."""
    arrays = {"latent": latent, "masked_latent": masked_latent, "exemplar": exemplar}
    packed: bytes = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    return packed


def not_finite(array: NDArray[np.float16]) -> str:
    """Name what of an array is not finite: `NaN` or `inf`; empty where all of it is."""
    # Only these have all bits of the exponent; numpy's isfinite takes ten times as long to say so.
    if (array.view(np.uint16) & _EXPONENT).max() < _EXPONENT:
        return ""
    return "NaN" if np.isnan(array).any() else "inf"


def read_spans(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Find each sample in a tar: its key, its span, headers included, its members, and the span's sha256.

    Raises:
        tarfile.TarError, ValueError: it is not a tar of samples.
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
    """Read the index of one shard; the column `jitter` is null where the dataset has none.

    Raises:
        FileNotFoundError: it is missing.
    """
    table, schema = table_from(out.read(name)), index_schema(1)
    columns = [
        table[field.name] if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def read_sample(out: Folder, row: Row) -> Sample:
    """Read one sample by one range request, as its index row says."""
    span = out.read_range(row["shard"], row["offset"], row["size"])
    members = {m["ext"]: span[m["offset"] - row["offset"] :][: m["size"]] for m in row["members"]}
    arrays = safetensors.numpy.load(members[TENSORS_EXT])
    source = decode_jpeg(members[SOURCE_EXT]) if SOURCE_EXT in members else None
    stored = {name: row.get(name) for name in (*SAMPLE.names, "jitter")}
    return Sample(
        stored,
        arrays["latent"],
        arrays["masked_latent"],
        arrays["exemplar"],
        decode_jpeg(members[EXEMPLAR_EXT]),
        source,
    )


def _end_of(member: tarfile.TarInfo) -> int:
    """Return where a member ends, padded to full tar blocks."""
    return member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
