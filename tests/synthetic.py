"""Synthetic datasets: numbers -> a dataset in the project's own format, of any size, without photos or encoders."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.decoding.jpeg import encode_jpeg
from pipeline.draws.masks import draw_bezier_mask
from pipeline.rng import rng_for
from pipeline.shards.recipe import digest_of
from pipeline.shards.samples import Row, tensor_member
from pipeline.storage.folder import Folder
from pipeline.units.tars import TarOfSamples
from schemas.samples import EXEMPLAR_EXT, EXEMPLAR_PX, TENSORS_EXT, sample_key
from schemas.shards import MANIFEST, SCHEMA_VERSION, SHARDS, SHARDS_TABLE, index_path, shard_path, unit_name

FACTOR = 8
CROP_PX = 512


def write_synthetic(
    out: Path,
    counts: Sequence[Sequence[int]],
    *,
    side: int = 4,
    dimension: int = 6,
    channels: int = 4,
    split: str = "train",
    nan_units: Sequence[int] = (),
) -> None:
    """Write a dataset.

    Args:
        counts: by draw, the samples of each unit.
        side: of a latent.
        nan_units: units whose latents are not finite.
    """
    folder = Folder(str(out))
    rows = []
    with folder.scratch() as scratch:
        for draw, units in enumerate(counts):
            for unit, count in enumerate(units):
                tar = TarOfSamples(scratch, unit_name(unit, draw))
                for number in range(count):
                    rng = rng_for(0, "synthetic", unit, number, draw)
                    latent, masked = rng.standard_normal((2, channels, side, side)).astype(np.float16)
                    if unit in nan_units:
                        latent = np.full_like(latent, np.nan)
                    vector = rng.standard_normal(dimension).astype(np.float16)
                    members = {
                        TENSORS_EXT: tensor_member(latent, masked, vector),
                        EXEMPLAR_EXT: draw_exemplar(rng),
                    }
                    tar.add(draw_row(rng, f"photo{unit}x{number}", unit=unit, draw=draw, split=split), members)
                shard, _ = tar.finish(folder, shard=shard_path(split, unit, draw), index=index_path(split, unit, draw))
                rows.append(
                    {"name": shard.name, "split": split, "unit": unit, "draw": draw}
                    | {"samples": count, "bytes": shard.bytes, "sha256": shard.sha256}
                )
        pq.write_table(pa.Table.from_pylist(rows, schema=SHARDS), scratch / SHARDS_TABLE)
        table = (scratch / SHARDS_TABLE).read_bytes()
    folder.write(SHARDS_TABLE, table)
    recipe = {
        "resolution": side * FACTOR,
        "vae": {"channels": channels, "factor": FACTOR},
        "clip": {"dimension": dimension},
    }
    manifest = {"schema_version": SCHEMA_VERSION, "recipe": recipe, "recipe_digest": "0", "draws": len(counts)}
    write_manifest(folder, {**manifest, "files": {SHARDS_TABLE: hashlib.sha256(table).hexdigest()}})


def write_manifest(folder: Folder, manifest: dict[str, Any]) -> None:
    """Write a manifest, with the digest of its content instead of one that it may have."""
    content = {name: value for name, value in manifest.items() if name != "sha256"}
    folder.write_json(MANIFEST, {**content, "sha256": digest_of(content)})


def draw_exemplar(rng: np.random.Generator) -> bytes:
    """Make a smooth picture as JPEG, about as large as a real exemplar."""
    noise = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
    return encode_jpeg(cv2.resize(noise, (EXEMPLAR_PX, EXEMPLAR_PX), interpolation=cv2.INTER_CUBIC))


def draw_row(rng: np.random.Generator, image_id: str, *, unit: int, draw: int, split: str) -> Row:
    """Make an index row with a Bezier polygon of an inner box's 80 points."""
    left, top = rng.uniform(20, 200, 2)
    box = (left, top, left + rng.uniform(80, 250), top + rng.uniform(80, 250))
    extended = (box[0] - 20, box[1] - 20, box[2] + 30, box[3] + 30)
    polygon = np.clip(
        draw_bezier_mask(box, extended, CROP_PX, rng, bounds=(0, 0, CROP_PX, CROP_PX)) / CROP_PX, 0, 1
    ).astype(np.float32)
    shares = [float(np.float32(value / CROP_PX)) for value in box]
    return {
        "key": sample_key(image_id, 0, draw),
        "image_id": image_id,
        "box_id": 0,
        "label": "/m/0",
        "label_name": "thing",
        "split": split,
        "unit": unit,
        "draw": draw,
        "box_source": shares,
        "box": shares,
        "crop": [0, 0, CROP_PX, CROP_PX],
        "extended_box": [value / CROP_PX for value in extended],
        "box_in_crop": shares,
        "exemplar_box": [int(value) for value in box],
        "mask_shape": "bezier",
        "mask_polygon": polygon.ravel().tolist(),
        "fit": "crop",
        "augmentation": {"flip": False, "rotate_degrees": None, "blur_px": None, "affine_px": None},
        "photo_width": CROP_PX,
        "photo_height": CROP_PX,
        "orientation": "none",
        "photo_sha256": "0" * 64,
        "photo_phash": "0" * 16,
    }
