"""Pairs of one's own: the box table of their job, with the files that belong to each box.

Every box is the whole photo: where the mask lies is found when it is decoded. The digests make a changed file another
input.
"""

from typing import Literal

import pyarrow as pa

from schemas.boxes import COORDINATE_COLUMNS, ID_COLUMN, LABEL_COLUMN

FILES = ("image", "mask", "exemplar")

PAIRS = pa.schema(
    [
        pa.field(ID_COLUMN, pa.string()),
        pa.field(LABEL_COLUMN, pa.string()),
        *(pa.field(name, pa.float64()) for name in COORDINATE_COLUMNS),
        *(pa.field(name, pa.string()) for name in FILES),  # paths in the folder; empty: there is none
        pa.field("repaint", pa.string()),  # see Repaint: which part of the mask
        *(pa.field(f"{name}_sha256", pa.string()) for name in FILES),  # empty: it cannot be read
    ]
)


Repaint = Literal["white", "black", "nonzero", "opaque", "transparent"]
