"""Hub: an id -> a local folder with the configs and weights of the parts used here, safetensors before pickles."""

from collections.abc import Sequence
from pathlib import Path

import huggingface_hub

from pbe.weights.model_files import FORMS, PATHS, STEMS, find_weights, model_folder
from pbe.weights.own_note import NOTE_FILE
from pipeline.encoders.names import WEIGHT_SUFFIXES, refuse_missing
from pipeline.errors import InputError

CONFIGS = ["model_index.json", NOTE_FILE, "*/config.json"]


def fetch(source: str, *, parts: Sequence[str], extra: Sequence[str] = (), hint: str = FORMS) -> Path:
    """Fetch parts of a repository, or take them from the cache.

    Args:
        source: `owner/name`.
        parts: sub-folders; "" is the repository's root.
        extra: patterns of further files.
        hint: the next step that an error names.

    Returns:
        The folder that holds them.

    Raises:
        InputError: the hub cannot be reached, or does not have it.
    """
    try:
        folder = _snapshot(source, ".safetensors", parts, extra)
        there = [folder / part for part in parts if (folder / part / "config.json").exists()]
        return folder if all(map(find_weights, there)) else _snapshot(source, ".bin", parts, extra)
    except (OSError, ValueError) as error:  # the hub's own errors derive from these
        raise _not_provided(source, error, hint) from error


def find_configs(flag: str, source: str) -> Path | None:
    """Find the folder whose configs describe a model; of a hub id, fetch no more than these. None: a checkpoint.

    Raises:
        InputError: nothing is there, or it cannot be a model; names the flag.
    """
    refuse_missing(f"{flag} {source}", source, PATHS)
    path = Path(source)
    if path.is_dir():
        return model_folder(path)
    if path.is_file():
        if path.suffix not in WEIGHT_SUFFIXES:
            raise InputError(f"{flag} {source}: ends in none of {', '.join(WEIGHT_SUFFIXES)}; {FORMS}")
        return None
    try:
        return model_folder(Path(huggingface_hub.snapshot_download(source, allow_patterns=CONFIGS)))
    except (OSError, ValueError) as error:
        raise _not_provided(f"{flag} {source}", error, FORMS) from error


def _not_provided(source: str, error: Exception, hint: str) -> InputError:
    return InputError(f"{source}: not a folder here, and the hub does not provide it ({type(error).__name__}); {hint}")


def _snapshot(source: str, suffix: str, parts: Sequence[str], extra: Sequence[str]) -> Path:
    """Fetch configs and weights; not the variants (fp16, non_ema ...) that lie beside them."""
    places = [f"{part}/" if part else "" for part in parts]
    weights = [f"{place}{stem}{suffix}" for place in places for stem in STEMS]
    configs = [f"{place}config.json" for place in places]
    return Path(huggingface_hub.snapshot_download(source, allow_patterns=[*extra, *configs, *weights]))
