"""Hub: an id -> a local folder with configs and weights, safetensors before pickles, full precision before half."""

from collections.abc import Sequence
from pathlib import Path

import huggingface_hub

from pipeline.errors import InputError
from pipeline.tensors.weight_files import FOLDER_SUFFIXES, PRECISIONS, find_weights, weight_patterns


def fetch(repository: str, *, parts: Sequence[str], extra: Sequence[str] = (), what: str, hint: str) -> Path:
    """Fetch parts of a repository, or take them from the cache.

    Args:
        repository: `owner/name`.
        parts: sub-folders; "" is the repository's root.
        extra: patterns of further files.
        what: the flag or name that an error opens with.
        hint: the next step that it names.

    Returns:
        The folder that holds them.

    Raises:
        InputError: the hub cannot be reached, or does not have it.
    """
    places = [f"{part}/" if part else "" for part in parts]
    configs = [*extra, *(f"{place}config.json" for place in places)]
    for variant in PRECISIONS:
        for suffix in FOLDER_SUFFIXES:
            names = weight_patterns(variant, suffix)
            patterns = [*configs, *(f"{place}{name}" for place in places for name in names)]
            folder = fetch_files(repository, patterns, what=what, hint=hint)
            there = [folder / part for part in parts if (folder / part / "config.json").exists()]
            if all(map(find_weights, there)):
                return folder
    return folder


def fetch_files(repository: str, patterns: Sequence[str], *, what: str, hint: str) -> Path:
    """Fetch the files of a repository that have these patterns.

    Raises:
        InputError: the hub cannot be reached, or does not have it.
    """
    try:
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(patterns)))
    except (OSError, ValueError) as error:  # the hub's own errors derive from these
        raise InputError(
            f"{what}: not a folder here, and the hub does not provide it ({type(error).__name__}); {hint}"
        ) from error
