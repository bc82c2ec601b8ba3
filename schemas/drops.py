"""Drops: each box, photo or draw that left, with the stage it left at and the reason."""

from typing import Literal, TypedDict

import pyarrow as pa

Stage = Literal["boxes", "filter", "photo", "draw"]

DROPS = pa.schema(
    [
        pa.field("stage", pa.string()),  # boxes: malformed row | filter: rule | photo: unreadable | draw: unusable box
        pa.field("image_id", pa.string()),
        pa.field("box_id", pa.int32()),  # null: the whole photo, or a row without a photo
        pa.field("draw", pa.int32()),  # null: before units
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)


class Drop(TypedDict):
    """One row of DROPS."""

    stage: Stage
    image_id: str
    box_id: int | None
    draw: int | None
    reason: str
    detail: str
