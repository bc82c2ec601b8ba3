"""Recipe: all that decides the bytes of a dataset, and what differs between two."""

import hashlib
import importlib.metadata
import json
from typing import Any

from pipeline.config import ShardConfig
from schemas.shards import schema_version

# The version of our own rules: raise it when the same inputs would give other bytes. Unfinished work of other rules is
# refused by name, and so are more draws; datasets of any rules can be read.
#   1  datasets whose recipe does not name its rules
#   2  samples whose latents or vectors are not finite are drops; photos are read through RGB and grey colour profiles,
#      at 12 bits where no value is above 4095, and not turned by XMP; masks are judged anew; image ids are in NFC;
#      a row that repeats a box of its photo is malformed; photos are found under more suffixes, in tars by path
RULES, FIRST_RULES = 2, 1

# The libraries whose version can change a byte of a shard.
LIBRARIES = (
    "albumentations",
    "bezier",
    "diffusers",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pyarrow",
    "safetensors",
    "torch",
    "transformers",
    "webdataset",
)


# What of the config changes bytes: neither paths, nor --draws, which is a total, nor what only changes the speed.
_RECIPE_FIELDS = (
    "seed",
    "resolution",
    "photos_per_unit",
    "split_shares",
    "boxes_frame",
    "long_boxes",
    "min_box_px",
    "min_photo_px",
    "max_photo_megapixels",
    "keep_source",
    "dtype",
    "encode_batch",
    "limit",
)

# What recipes do not name that were made before it was a choice, or without making it.
UNNAMED = {"rules": FIRST_RULES, "colour_jitter": 0.0}

Json = dict[str, Any]


def make_recipe(
    config: ShardConfig,
    *,
    device: str,
    filters: list[str],
    vae: Json,
    clip: Json,
    class_names: dict[str, str],
) -> Json:
    """Gather all that decides the bytes of a dataset, except its input tables.

    Args:
        filters: the rules that drop boxes, as `--filters` spells them.
        vae: `fingerprint`, `channels` and `factor` of the source encoder.
        clip: `fingerprint` and `dimension` of the exemplar encoder.
        class_names: label -> name.
    """
    return {
        "schema_version": schema_version(config.colour_jitter),
        **json.loads(json.dumps({name: getattr(config, name) for name in _RECIPE_FIELDS})),
        **({"colour_jitter": config.colour_jitter} if config.colour_jitter else {}),
        "device": device,
        "rules": RULES,
        "filters": filters,
        "vae": vae,
        "clip": clip,
        "class_names": digest_of(class_names),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def share_jittered(recipe: Json) -> float:
    """Return the share of a dataset's samples that are jittered, as --colour-jitter gave it."""
    share: float = recipe.get("colour_jitter", UNNAMED["colour_jitter"])
    return share


def digest_of(content: Any) -> str:
    """Hash JSON content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
