"""Photo order: kept boxes -> PLANNED_BOXES in the order of photos and draws, with their splits, up to --limit."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError
from pipeline.planning.hashing import U64, mix, mix_with, uniform
from pipeline.planning.row_counts import Plan, PlanInputs
from pipeline.planning.spill import HASH_COLUMN
from pipeline.rng import seed_for
from schemas.boxes import COORDINATE_COLUMNS, ID_COLUMN, LABEL_COLUMN
from schemas.plan import ARCHIVE_COLUMNS, PLACES


def photos_in_order(kept: pa.Table, rotations: pa.Table, places: pa.Table, inputs: PlanInputs) -> pa.Table:
    """Put kept boxes into the order of photos and draws, and add what is known of each photo.

    Args:
        kept: boxes of one partition, with hash and box id.
        rotations, places: the same partition of what is known of photos, sorted by hash.

    Returns:
        PLANNED_BOXES, with `split`, a position in SPLITS, and `photo`, which numbers the photos.

    Raises:
        InputError: the image-info tables turn a photo in two ways.
    """
    # Photos follow the seeded hash of their id. A photo's boxes follow a hash of photo and box id: a permutation of
    # its own for each photo, which its draws go through.
    photo_hash = kept[HASH_COLUMN].to_numpy()
    box_hash = mix(photo_hash ^ mix(kept["box_id"].to_numpy().astype(np.uint64)))
    order = np.lexsort((box_hash, photo_hash))
    kept, photo_hash = kept.take(order), photo_hash[order]
    starts = np.ones(len(kept), bool)
    starts[1:] = photo_hash[1:] != photo_hash[:-1]

    # The split is a hash of the photo's id alone: a photo stays in it whatever other photos there are.
    bounds = np.cumsum(inputs.split_shares)[:-1]
    split = np.searchsorted(bounds, uniform(mix_with(photo_hash, seed_for(inputs.seed, "split"))), side="right")

    _refuse_two_rotations(photo_hash, rotations)
    boxes = np.stack([kept[name].to_numpy().astype(np.float32) for name in COORDINATE_COLUMNS], axis=1)
    place = _look_up(kept[ID_COLUMN], photo_hash, places.filter(pc.is_valid(places["archive_offset"])))
    return pa.table(
        {
            "image_id": kept[ID_COLUMN],
            "box_id": kept["box_id"].cast(pa.int32()),
            "label": kept[LABEL_COLUMN],
            "box": pa.FixedSizeListArray.from_arrays(pa.array(boxes.ravel()), 4),
            "rotation": _look_up(kept[ID_COLUMN], photo_hash, rotations)["rotation"],
            **{name: place[name] for name in ARCHIVE_COLUMNS},
            "split": pa.array(split.astype(np.int8)),
            "photo": pa.array(np.cumsum(starts) - 1),
        }
    )


def several_places(kept: pa.Table, places: pa.Table) -> pa.Table:
    """Find the photos that lie in several places.

    Args:
        kept: boxes of one partition, with hash.
        places: the same partition of PLACES, sorted by hash.

    Returns:
        PLACES of these photos, all of each.
    """
    hashes = places[HASH_COLUMN].to_numpy()
    again = hashes[1:][hashes[1:] == hashes[:-1]]
    wanted = np.intersect1d(again, kept[HASH_COLUMN].to_numpy())
    return places.filter(pa.array(np.isin(hashes, wanted))).select(PLACES.names)


def cut_at_limit(kept: pa.Table, limit: int, plan: Plan) -> pa.Table:
    """Keep photos as long as there is room, and count both sides of the cut.

    Args:
        kept: PLANNED_BOXES of the next photos in plan order.
        limit: most photos of the plan; 0: all.
        plan: the counts so far; extended.
    """
    photo = kept["photo"].to_numpy()
    photos = int(photo[-1]) + 1 if len(photo) else 0
    room = min(photos, max(0, limit - plan.photos_planned)) if limit else photos
    boxes = int(np.searchsorted(photo, room))
    plan.photos_planned += room
    plan.photos_beyond_limit += photos - room
    plan.boxes_planned += boxes
    plan.boxes_beyond_limit += len(kept) - boxes
    return kept.slice(0, boxes)


def _refuse_two_rotations(hashes: U64, rotations: pa.Table) -> None:
    rotation_hash, degrees = rotations[HASH_COLUMN].to_numpy(), rotations["rotation"].to_numpy() % 360
    other = np.flatnonzero((rotation_hash[1:] == rotation_hash[:-1]) & (degrees[1:] != degrees[:-1]))
    clash = other[np.isin(rotation_hash[other], hashes)]
    if len(clash):
        image_id, one, two = rotations["image_id"][clash[0]].as_py(), degrees[clash[0]], degrees[clash[0] + 1]
        raise InputError(
            f"--image-info: photo {image_id} has Rotation {one:g} in one row and {two:g} in another; leave one row"
        )


def _look_up(ids: pa.ChunkedArray, hashes: U64, facts: pa.Table) -> pa.Table:
    """Join facts, sorted by hash, to rows by id: the first fact of a photo, or nulls."""
    position = np.searchsorted(facts[HASH_COLUMN].to_numpy(), hashes)
    inside = position < len(facts)
    candidates = facts.take(pa.array(position, mask=~inside))
    same_id = pc.fill_null(pc.equal(candidates["image_id"], ids), False).to_numpy()
    return facts.take(pa.array(position, mask=~(inside & same_id)))
