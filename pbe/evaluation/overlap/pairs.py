"""Pairs: matches by pixels and by Flickr id -> OVERLAP, a row for each pair of photos that both sides have."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pbe.evaluation.overlap.blocks import Block
from pbe.evaluation.overlap.sides import Side
from schemas.overlap import OVERLAP

TRAINED = ("train", "")  # splits that are trained on, if all photos are that were named without a dataset


def tabulate(training: Side, blocks: Sequence[Block], joined: Sequence[tuple[str, str, int]]) -> pa.Table:
    """List the pairs, by the name of the other side's photo.

    Args:
        joined: name, other name and id of photos with the same Flickr id.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for match in (match for block in blocks for match in block.matches):
        pixels = {name: match[name] for name in ("turn", "bits", "inliers", "correlation")}
        rows[match["other"], match["photo"]] = {**pixels, "found_by": "pixels"}
    for photo, other, number in joined:
        row = rows.setdefault((other, photo), {})
        row |= {"flickr_id": number, "found_by": "flickr id and pixels" if "turn" in row else "flickr id"}
    names = {photo for _, photo in rows}
    splits = {
        row["name"]: row["split"]
        for batch in training.photos.select(["name", "split"]).to_batches()
        for row in batch.to_pylist()
        if row["name"] in names
    }
    found = [
        {"photo": photo, "split": splits[photo], "other": other, **row} for (other, photo), row in sorted(rows.items())
    ]
    return pa.Table.from_pylist(found, schema=OVERLAP)


def shared_names(table: pa.Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the other side's photos that are trained on, and those that are only in another split."""
    rows = table.select(["other", "split"]).to_pylist()
    trained = {row["other"] for row in rows if row["split"] in TRAINED}
    elsewhere = {row["other"] for row in rows} - trained
    return tuple(sorted(trained)), tuple(sorted(elsewhere))
