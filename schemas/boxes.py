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
