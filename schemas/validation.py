"""Validation tables: OUT/validation/step-00000030.parquet, what the model lost on each sample of the validation split.

A loss is the mean squared error of the predicted noise. A sample's noise and timestep are the same at every step, so
that tables can be compared. null: there is no such number. NaN: there is one, and it is not finite.
"""

import re

import pyarrow as pa

VALIDATION_FOLDER = "validation"
_NAME = re.compile(r"step-(\d{8,})\.parquet")

VALIDATION = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("ordinal", pa.int64()),  # from 0: its place in draw 0 of the split, as stored
        pa.field("timestep", pa.int32()),  # 0 .. 999, the last is the noisiest
        pa.field("hole", pa.float32()),  # share of the latent's cells that is repainted, 0..1
        pa.field("missing", pa.bool_()),  # passed over by --bad-samples skip, and so without losses
        pa.field("loss", pa.float32()),  # over the whole latent, as are the means in metrics.jsonl
        pa.field("loss_inside", pa.float32()),  # the hole; null: it is empty
        pa.field("loss_outside", pa.float32()),  # null: the hole is everything
        pa.field("loss_ema", pa.float32()),  # of the moving average of the weights; null: none is kept
        pa.field("loss_inside_ema", pa.float32()),
        pa.field("loss_outside_ema", pa.float32()),
    ]
)


def validation_path(step: int) -> str:
    """Where the table of a step lies, relative to the training's folder."""
    return f"{VALIDATION_FOLDER}/step-{step:08d}.parquet"


def validation_step(name: str) -> int | None:
    """Read the step from the name of a file in the folder; None: it is no table."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None
