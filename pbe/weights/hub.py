"""Hub: an id -> a local folder with the configs and weights of the parts used here, safetensors before pickles."""

from collections.abc import Sequence
from pathlib import Path

import huggingface_hub

from pbe.weights.model_files import FORMS, STEMS, find_weights
from pipeline.errors import InputError


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
        raise InputError(
            f"{source}: not a folder here, and the hub does not provide it ({type(error).__name__}); {hint}"
        ) from error


def _snapshot(source: str, suffix: str, parts: Sequence[str], extra: Sequence[str]) -> Path:
    """Fetch configs and weights; not the variants (fp16, non_ema ...) that lie beside them."""
    places = [f"{part}/" if part else "" for part in parts]
    weights = [f"{place}{stem}{suffix}" for place in places for stem in STEMS]
    configs = [f"{place}config.json" for place in places]
    return Path(huggingface_hub.snapshot_download(source, allow_patterns=[*extra, *configs, *weights]))
