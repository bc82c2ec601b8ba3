"""Feature cache: an encoder and a folder -> the same encoder, which encodes no picture twice. Imports no torch.

A folder holds the features of any number of encoders, in blocks that are only ever added. A block is named by the
SHA-256 of its bytes: one that is cut short or changed is recognised, a killed process leaves none, and processes that
write at once write files of their own, or the same one.
"""

import hashlib
import io
from collections.abc import Sequence
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pbe.evaluation.metrics.encoders.protocol import FeatureEncoder, Features, Picture
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.features import BLOCK_SUFFIX, KEY, VALUES, features_schema

BLOCK_ROWS = 256  # what a killed process may have encoded in vain


class CachedEncoder:
    """An encoder that looks up the features of pictures that it, or an equal one, has seen.

    The folder is read once, here; what other processes write later is not seen. Not for several threads at once.

    Args:
        encoder: encodes the rest.
        folder: of blocks, which lie in a sub-folder named by the encoder's digest: features of other weights are never
            found.
    """

    def __init__(self, encoder: FeatureEncoder, folder: Folder) -> None:
        self.name, self.digest = encoder.name, encoder.digest
        self.dimension, self.side = encoder.dimension, encoder.side
        self.damaged: list[str] = []
        """What was passed over, and why: one line for each file."""
        self._encoder, self._folder = encoder, folder
        self._schema = features_schema(self.digest, self.dimension)
        self._known: dict[bytes, Features] = {}
        self._unwritten: dict[bytes, Features] = {}
        for name in folder.names(self.digest):
            if name.endswith(BLOCK_SUFFIX):
                self._read_block(name)

    def encode(self, pictures: Sequence[Picture]) -> Features:
        """See FeatureEncoder; features that are not finite are not kept."""
        keys = [key_of(picture) for picture in pictures]
        missing = {key: place for place, key in enumerate(keys) if key not in self._known}
        fresh = self._encoder.encode([pictures[place] for place in missing.values()]) if missing else ()
        new = dict(zip(missing, fresh, strict=True))
        kept = {key: features for key, features in new.items() if np.isfinite(features).all()}
        self._known |= kept
        self._unwritten |= kept
        if len(self._unwritten) >= BLOCK_ROWS:
            self.flush()
        found = [self._known[key] if key in self._known else new[key] for key in keys]
        return np.array(found, np.float32).reshape(len(keys), self.dimension)

    def find(self, key: bytes) -> Features | None:
        """Look up the features [d] of a picture by its key; None: they are not kept."""
        return self._known.get(key)

    def flush(self) -> None:
        """Write what is new as a block: also when the encoder is left as a context manager."""
        if not self._unwritten:
            return
        keys = sorted(self._unwritten)
        values = pa.array(np.concatenate([self._unwritten[key] for key in keys]))
        rows = pa.FixedSizeListArray.from_arrays(values, type=self._schema.field(VALUES).type)
        table = pa.Table.from_arrays([pa.array(keys, pa.binary(32)), rows], schema=self._schema)
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="none", use_dictionary=False, write_statistics=False)
        content = sink.getvalue()
        self._folder.write(f"{self.digest}/{hashlib.sha256(content).hexdigest()}{BLOCK_SUFFIX}", content)
        self._unwritten.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.flush()

    def _read_block(self, name: str) -> None:
        """Add what a block holds; where two differ in a picture, the first by name counts, in whatever order."""
        place = f"{self.digest}/{name}"
        try:
            content = self._folder.read(place)
            if hashlib.sha256(content).hexdigest() + BLOCK_SUFFIX != name:
                raise ValueError("its bytes are not those that its name says")
            table = table_from(content)
            if not table.schema.equals(self._schema, check_metadata=True):
                raise ValueError("it is not of this encoder")
            values = table[VALUES].combine_chunks().flatten().to_numpy().reshape(-1, self.dimension)
            if not np.isfinite(values).all():
                raise ValueError("it holds features that are not finite")
        except (OSError, ValueError, pa.ArrowException) as error:
            self.damaged.append(f"{self._folder.url}/{place}: passed over, {error}; remove it")
            return
        for key, features in zip(table[KEY].to_pylist(), values, strict=True):
            self._known.setdefault(key, features)


def key_of(picture: Picture) -> bytes:
    """Hash a picture's pixels, their type and shape: 32 bytes."""
    digest = hashlib.sha256(f"{picture.dtype.str} {picture.shape} ".encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.digest()
