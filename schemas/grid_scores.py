"""Grid scores: OUT/grids/step-00000030.json, how like their exemplars the pictures of a sample grid are.

The exemplar of a training's sample is mostly cut from the sample's own photo, so that a picture which only restores the
source is like it, too. Therefore the source is scored as well: a picture that is more like the exemplar than it copies.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from schemas.shards import json_bytes

COPY_PASTE, SIMILARITY = "copy_paste", "similarity"
SCORED_BY = {COPY_PASTE: "copy-paste score", SIMILARITY: "similarity by the training's exemplar encoder"}
SOURCE = "source"  # as the VAE decodes it


def guidance_name(scale: float) -> str:
    """Name the pictures that were painted at a guidance scale."""
    return f"guidance {scale:g}"


@dataclass(frozen=True)
class GridScore:
    """What one metric says of the pictures of a column.

    Args:
        mean: over the samples that have a value, -1..1; None: none has one.
        values: of each sample, to 4 decimals: the last bits depend on the number of threads; None: there is none.
        reasons: why there is none, of each sample; empty where there is one.
    """

    mean: float | None
    values: tuple[float | None, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class GridScores:
    """The scores of a sample grid.

    Args:
        split: of the dataset.
        weights: `moving average` or `raw weights`.
        tower: name of the exemplar encoder; `untrained` is one that has learned nothing. None: the training holds none.
        keys: of its samples.
        scores: by metric of SCORED_BY; of each by picture: SOURCE or `guidance_name`.
    """

    step: int
    split: str
    weights: str
    tower: str | None
    keys: tuple[str, ...]
    scores: Mapping[str, Mapping[str, GridScore]]

    def to_json(self) -> bytes:
        """Write them; equal scores give equal bytes."""
        return json_bytes(asdict(self))


def read_grid_scores(content: bytes) -> GridScores:
    """Read what `GridScores.to_json` wrote.

    Raises:
        ValueError: it is something else, or cut off.
    """
    try:
        record = json.loads(content)
        scores = {
            str(metric): {
                str(name): GridScore(score["mean"], tuple(score["values"]), tuple(score["reasons"]))
                for name, score in columns.items()
            }
            for metric, columns in record["scores"].items()
        }
        return GridScores(**{**record, "keys": tuple(record["keys"]), "scores": scores})
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("no record of grid scores") from error
