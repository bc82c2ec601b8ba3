"""A sample: its key, its members in a shard, and its row in the index.

Pixel boxes are left, top, right, bottom with right and bottom exclusive; share boxes are x_min, y_min, x_max, y_max.
"""

import hashlib
import re

import pyarrow as pa

TENSORS_EXT = "safetensors"  # latent [c,h,w] f16, masked_latent [c,h,w] f16, exemplar [d] f16
EXEMPLAR_EXT = "exemplar.jpg"  # 224x224 RGB, unaugmented
ROW_EXT = "json"  # the index row, without where it lies
SOURCE_EXT = "source.jpg"  # resolution x resolution RGB, with --keep-source

EXEMPLAR_PX = 224

AUGMENTATION = pa.struct(
    [
        pa.field("flip", pa.bool_()),
        pa.field("rotate_degrees", pa.float32()),  # counter-clockwise; null: not rotated
        pa.field("blur_px", pa.int32()),  # kernel size; null: not blurred
        pa.field("affine_px", pa.list_(pa.float32())),  # x y shifts of three points; null: no affine
    ]
)

JITTER = pa.struct(  # of source and exemplar together; null: not jittered. See pipeline.draws.jitter
    [
        pa.field("flip", pa.bool_()),
        pa.field("hue_degrees", pa.float32()),  # by which all hues turned, from -180 to 180
        pa.field("saturation", pa.float32()),  # factor of its odds, s / (1 - s)
        pa.field("brightness", pa.float32()),  # factor of its odds
        pa.field("scale", pa.float32()),  # 1: the crop as drawn, 0: no more than the extended box, along one side
    ]
)

# What a sample's own .json holds.
SAMPLE = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("image_id", pa.string()),
        pa.field("box_id", pa.int32()),
        pa.field("label", pa.string()),
        pa.field("label_name", pa.string()),
        pa.field("split", pa.string()),
        pa.field("unit", pa.int32()),
        pa.field("draw", pa.int32()),
        pa.field("box_source", pa.list_(pa.float32(), 4)),  # XMin YMin XMax YMax, the table's values
        pa.field("box", pa.list_(pa.float32(), 4)),  # shares of the oriented photo
        pa.field("crop", pa.list_(pa.int32(), 4)),  # px of the oriented photo
        pa.field("extended_box", pa.list_(pa.float32(), 4)),  # shares of the oriented photo
        pa.field("box_in_crop", pa.list_(pa.float32(), 4)),  # shares of the crop
        pa.field("exemplar_box", pa.list_(pa.int32(), 4)),  # px of the oriented photo; 0 0 0 0: a picture of its own
        pa.field("mask_shape", pa.string()),  # rectangle | bezier | traced (a mask of one's own)
        pa.field("mask_polygon", pa.list_(pa.float32())),  # x y pairs, shares of the crop; see pipeline.draws.rings
        pa.field("fit", pa.string()),  # crop | squash
        pa.field("augmentation", AUGMENTATION),
        pa.field("photo_width", pa.int32()),  # px, oriented
        pa.field("photo_height", pa.int32()),
        pa.field("orientation", pa.string()),  # none | exif:1..8 | rotation:0|90|180|270
        pa.field("photo_sha256", pa.string()),
        pa.field("photo_phash", pa.string()),  # 64-bit DCT hash of the oriented photo, 16 hex digits
    ]
)

MEMBER = pa.struct([pa.field("ext", pa.string()), pa.field("offset", pa.int64()), pa.field("size", pa.int64())])

INDEX = pa.schema(
    [
        *SAMPLE,
        pa.field("shard", pa.string()),
        pa.field("offset", pa.int64()),  # bytes into the shard, tar headers included
        pa.field("size", pa.int64()),
        pa.field("members", pa.list_(MEMBER)),  # offset: bytes into the shard, of the member's content
        pa.field("sha256", pa.string()),  # of the span
    ]
)

_SAFE_ID = re.compile(r"(?!x-[0-9a-f]{16}\Z)[A-Za-z0-9_-]{1,64}")


def sample_schema(colour_jitter: float) -> pa.Schema:
    """SAMPLE of a dataset, with the column `jitter` where a share of its samples is jittered."""
    return _with_jitter(SAMPLE) if colour_jitter else SAMPLE


def index_schema(colour_jitter: float) -> pa.Schema:
    """INDEX of a dataset, likewise."""
    return _with_jitter(INDEX) if colour_jitter else INDEX


def _with_jitter(schema: pa.Schema) -> pa.Schema:
    return schema.insert(schema.get_field_index("augmentation") + 1, pa.field("jitter", JITTER))


def sample_key(image_id: str, box_id: int, draw: int) -> str:
    """Name a sample, as `{image_id}-{box_id}-{draw}`.

    An id that could break a tar name or leave the folder becomes `x-` and 16 hex digits of its sha256;
    so does an id that looks like one of these, or two photos could have one key.
    """
    safe = image_id if _SAFE_ID.fullmatch(image_id) else f"x-{hashlib.sha256(image_id.encode()).hexdigest()[:16]}"
    return f"{safe}-{box_id}-{draw}"
