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


# Where photos lie in tar files and local folders: a row for each id that may mean a file.
PLACES = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("archive", pa.string()),  # the tar that holds it, or its own path
        pa.field("archive_offset", pa.int64()),  # bytes; null: it is a file of its own
        pa.field("archive_size", pa.int64()),  # bytes; null likewise
        pa.field("member", pa.string()),  # its path in the tar; null likewise
    ]
)
ARCHIVE_COLUMNS = ("archive", "archive_offset", "archive_size")


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
