"""Malformed rows: BOXES -> why each row cannot be a box."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.boxes import COORDINATE_COLUMNS, FLAG_COLUMNS, ID_COLUMN

OUTSIDE_TOLERANCE = 1e-3  # share of the photo by which a box may leave it


DUPLICATE = "duplicate"
# The reasons for which a row of a box table is malformed, in the order in which they are looked for.
MALFORMED = ("no_image_id", "no_label", "not_a_number", "outside_photo", "empty_box", "bad_flag", DUPLICATE)


def malformed_position(boxes: pa.Table) -> NDArray[np.int8]:
    """Find out why rows of BOXES, each by itself, cannot be boxes.

    Returns:
        [n] position in MALFORMED of the first reason that holds, or -1; DUPLICATE takes all rows of a photo to find.
    """
    numbers = {name: boxes[name].to_numpy() for name in COORDINATE_COLUMNS}
    stacked = np.stack(list(numbers.values()))
    outside = (stacked < -OUTSIDE_TOLERANCE) | (stacked > 1 + OUTSIDE_TOLERANCE)
    # Judged as it will be used, cut to the photo: a box that lies in the tolerance alone has no area.
    x_min, y_min, x_max, y_max = np.clip(stacked, 0, 1)
    holds = {
        "no_image_id": pc.equal(boxes[ID_COLUMN], "").to_numpy(),
        "no_label": pc.equal(boxes["LabelName"], "").to_numpy(),
        "not_a_number": ~np.isfinite(stacked).all(axis=0),
        "outside_photo": outside.any(axis=0),
        "empty_box": (x_max <= x_min) | (y_max <= y_min),
        "bad_flag": np.any([(boxes[name].to_numpy() < -1) | (boxes[name].to_numpy() > 1) for name in FLAG_COLUMNS], 0),
    }
    reason = np.full(len(boxes), -1, np.int8)
    for name in reversed(holds):
        reason[holds[name]] = MALFORMED.index(name)
    return reason
