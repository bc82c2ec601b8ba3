"""Features: what a cache keeps of the pictures that an encoder has seen."""

import pyarrow as pa

KEY = "key"  # SHA-256 of a picture's pixels, their type and shape
VALUES = "features"
ENCODER = b"encoder"  # in the schema's metadata: the encoder's digest
BLOCK_SUFFIX = ".parquet"  # after the SHA-256 of the file's own bytes


def features_schema(digest: str, dimension: int) -> pa.Schema:
    """Return the columns of a block: one row for each picture, sorted by key; `element` is as Parquet names it."""
    columns = [pa.field(KEY, pa.binary(32)), pa.field(VALUES, pa.list_(pa.field("element", pa.float32()), dimension))]
    return pa.schema(columns, metadata={ENCODER: digest.encode()})
