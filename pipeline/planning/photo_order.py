"""Photo order: judged photos -> the order in which units take them, split by split."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.planning.hashing import U64, mix, mix_with, uniform
from pipeline.planning.row_counts import Plan, PlanInputs
from pipeline.planning.spill import HASH_COLUMN
from pipeline.rng import seed_for
from schemas.boxes import COORDINATE_COLUMNS, ID_COLUMN, LABEL_COLUMN
from schemas.plan import PLACES


def photos_in_order(kept: pa.Table, rotations: pa.Table, places: pa.Table, inputs: PlanInputs) -> pa.Table:
    """Put kept boxes into the order of photos and draws, and add what is known of each photo."""
    photo_hash = kept[HASH_COLUMN].to_numpy()
    taken = mix(photo_hash ^ mix(kept["box_id"].to_numpy().astype(np.uint64)))
    order = np.lexsort((taken, photo_hash))
    kept, photo_hash = kept.take(order), photo_hash[order]
    starts = np.ones(len(kept), bool)
    starts[1:] = photo_hash[1:] != photo_hash[:-1]
    shares = np.cumsum(inputs.split_shares)[:-1]
    split = np.searchsorted(shares, uniform(mix_with(photo_hash, seed_for(inputs.seed, "split"))), side="right")
    boxes = np.stack([kept[name].to_numpy().astype(np.float32) for name in COORDINATE_COLUMNS], axis=1)
    found = _lookup(kept[ID_COLUMN], photo_hash, places)
    return pa.table(
        {
            "image_id": kept[ID_COLUMN],
            "box_id": kept["box_id"].cast(pa.int32()),
            "label": kept[LABEL_COLUMN],
            "box": pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel()), 4),
            "rotation": _lookup(kept[ID_COLUMN], photo_hash, rotations)["rotation"],
            **{name: found[name] for name in PLACES.names[1:]},
            "split": pa.array(split.astype(np.int8)),
            "photo": pa.array(np.cumsum(starts) - 1),
        }
    )


def cut_at_limit(kept: pa.Table, limit: int, plan: Plan) -> pa.Table:
    """Keep photos as long as there is room, and count both sides of the cut."""
    photo = kept["photo"].to_numpy()
    photos = int(photo[-1]) + 1 if len(photo) else 0
    room = min(photos, max(0, limit - plan.photos_planned)) if limit else photos
    boxes = int(np.searchsorted(photo, room))
    plan.photos_planned += room
    plan.photos_beyond_limit += photos - room
    plan.boxes_planned += boxes
    plan.boxes_beyond_limit += len(kept) - boxes
    return kept.slice(0, boxes)


def _lookup(ids: pa.ChunkedArray, hashes: U64, facts: pa.Table) -> pa.Table:
    """Join facts, sorted by hash, to rows by id: the first fact of a photo, or nulls."""
    place = np.searchsorted(facts[HASH_COLUMN].to_numpy(), hashes)
    inside = place < len(facts)
    found = facts.take(pa.array(place, mask=~inside))
    same = pc.fill_null(pc.equal(found["image_id"], ids), False).to_numpy()
    return facts.take(pa.array(place, mask=~(inside & same)))
