"""Plan: the rows that decide the work: units of photos, and where photos lie in tar files."""

import pyarrow as pa

UNITS = pa.schema(
    [
        pa.field("unit", pa.int32()),
        pa.field("split", pa.string()),
        pa.field("photos", pa.int64()),
        pa.field("boxes", pa.int64()),
        pa.field("file", pa.string()),
        pa.field("row_group", pa.int32()),
    ]
)


# Where photos stand in tar files; `archive` is null for photos in folders.
PLACES = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("archive", pa.string()),
        pa.field("archive_offset", pa.int64()),
        pa.field("archive_size", pa.int64()),
    ]
)


# One row a kept box, in the order of the photo's draws: draw d takes row d modulo the photo's number of rows.
PLANNED_BOXES = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("box_id", pa.int32()),
        pa.field("label", pa.string()),
        pa.field("box", pa.list_(pa.float32(), 4)),  # XMin YMin XMax YMax, the table's values
        pa.field("rotation", pa.float32()),  # degrees counter-clockwise; null where the image-info table is silent
        pa.field("archive", pa.string()),  # the tar that holds the photo, else null
        pa.field("archive_offset", pa.int64()),  # bytes
        pa.field("archive_size", pa.int64()),  # bytes
    ]
)
