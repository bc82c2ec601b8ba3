"""CLIP files: a folder or hub id -> the files of a complete CLIP, or what of them is missing. Imports no torch."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pbe.evaluation.metrics.encoders.names import CLIP_PROJECTION, clip_name
from pipeline.encoders.names import refuse_missing
from pipeline.errors import InputError
from pipeline.tensors.configs import read_config
from pipeline.tensors.hub import fetch, fetch_files
from pipeline.tensors.weight_files import FOLDER_SUFFIXES, find_weights, refuse_lost_shards

CONFIG = "config.json"
TOKENIZERS = (("vocab.json", "merges.txt"), ("tokenizer.json",))
"""What a tokenizer's words may lie in; one of the two is enough."""
_TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer*.json", "special_tokens_map.json")
_REMEDY = "give a folder or hub id of a complete CLIP with its tokenizer, such as openai/clip-vit-base-patch16"
PAPERS = "CLIP ViT-B/16"


def find_clip(name: str) -> Path:
    """Find the folder that holds a CLIP's configs and its tokenizer; of a hub id, in the hub's cache.

    Raises:
        InputError: it is not there, or no complete CLIP.
    """
    refuse_missing(name, name, _REMEDY)
    folder = Path(name)
    if not folder.exists():
        return _fetched(name)
    weights = find_weights(folder)
    if not (folder / CONFIG).is_file() or weights is None:
        raise InputError(f"{name}: holds no {CONFIG} with weights beside it; {_REMEDY}")
    refuse_lost_shards(weights)
    return folder


@cache
def _fetched(name: str) -> Path:
    """Ask the hub once for all but the weights."""
    return fetch_files(name, [CONFIG, *_TOKENIZER_FILES], what=name, hint=_REMEDY)


def read_clip_config(name: str) -> dict[str, Any]:
    """Read a CLIP's config.

    Raises:
        InputError: see `find_clip`; or it is of another model.
    """
    config = read_config(find_clip(name) / CONFIG, what=f"{name}: {CONFIG}", remedy=_REMEDY)
    if config.get("model_type") != "clip":
        raise InputError(f"{name}: model type {config.get('model_type')}, not a complete CLIP; {_REMEDY}")
    return config


def refuse_no_tokenizer(name: str) -> None:
    """Refuse a CLIP whose folder has no words for texts.

    Raises:
        InputError: naming the files.
    """
    folder = find_clip(name)
    if not any(all((folder / file).is_file() for file in files) for files in TOKENIZERS):
        raise InputError(f"{name}: has no tokenizer ({' and '.join(TOKENIZERS[0])}), which a text needs; {_REMEDY}")


def weights_folder(name: str) -> Path:
    """Return the folder that also holds a CLIP's weights, fetched from the hub if need be.

    Raises:
        InputError: the hub does not have them.
    """
    folder = find_clip(name)
    return folder if Path(name).exists() else fetch(name, parts=[""], extra=_TOKENIZER_FILES, what=name, hint=_REMEDY)


def name_of(name: str, config: Mapping[str, Any]) -> str:
    """Tell by a CLIP's config which one it is; see `clip_name`.

    Raises:
        InputError: the config does not describe a tower.
    """
    projection = config.get("projection_dim", CLIP_PROJECTION)
    try:
        return clip_name(dict(config.get("vision_config") or {}), projection)
    except (TypeError, ValueError) as error:  # lists and texts in the place of numbers
        raise InputError(f"{name}: its {CONFIG} does not describe a tower ({error}); copy it again") from error


def files_of(folder: Path) -> list[Path]:
    """List what decides a CLIP's vectors: configs, words, weights."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".json", ".txt", *FOLDER_SUFFIXES))
