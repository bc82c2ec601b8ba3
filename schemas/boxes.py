"""The box table: column names of Open Images and the Arrow schema of BOXES.

Coordinates are shares of the photo's width and height (0..1). The five flags are 1 = yes, 0 = no, -1 = unknown.
"""

import pyarrow as pa

ID_COLUMN = "ImageID"
LABEL_COLUMN = "LabelName"
COORDINATE_COLUMNS = ("XMin", "YMin", "XMax", "YMax")
FLAG_COLUMNS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
REQUIRED_COLUMNS = (ID_COLUMN, LABEL_COLUMN, *COORDINATE_COLUMNS)

UNKNOWN_FLAG = -1

BOXES = pa.schema(
    [
        pa.field(ID_COLUMN, pa.string()),
        pa.field(LABEL_COLUMN, pa.string()),
        *(pa.field(name, pa.float64()) for name in COORDINATE_COLUMNS),
        *(pa.field(name, pa.int8()) for name in FLAG_COLUMNS),
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
