"""Hub: the name of a model -> the folder whose configs describe it; of a hub id, no more than these are fetched."""

from pathlib import Path

from pbe.weights.model_files import FORMS, PATHS, model_folder
from pbe.weights.own_note import NOTE_FILE, SCHEDULER_CONFIG
from pipeline.encoders.names import placed, refuse_missing
from pipeline.errors import InputError
from pipeline.tensors.hub import fetch_files
from pipeline.tensors.weight_files import WEIGHT_SUFFIXES

CONFIGS = ["model_index.json", NOTE_FILE, SCHEDULER_CONFIG, "*/config.json"]


def find_configs(flag: str, source: str) -> Path | None:
    """Find the folder whose configs describe a model; None: it is a checkpoint.

    Raises:
        InputError: nothing is there, or it cannot be a model; names the flag.
    """
    refuse_missing(f"{flag} {source}", source, PATHS)
    path = Path(placed(source))
    if path.is_dir():
        return model_folder(path)
    if path.is_file():
        if path.suffix not in WEIGHT_SUFFIXES:
            raise InputError(f"{flag} {source}: ends in none of {', '.join(WEIGHT_SUFFIXES)}; {FORMS}")
        return None
    return model_folder(fetch_files(source, CONFIGS, what=f"{flag} {source}", hint=FORMS))
