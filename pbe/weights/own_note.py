"""Own note: a folder of weights -> what pbe.json in it says, if this project wrote it. Imports no torch."""

from pathlib import Path
from typing import Any

from pbe.weights.model_files import read_json
from pipeline.errors import InputError

NOTE_FILE = "pbe.json"
FORMAT_VERSION = 1  # of NOTE_FILE
_OWN_NAMES = {
    *("unet", "vae", "image_encoder", "conditioner", "scheduler", "feature_extractor", "safety_checker"),
    *("model_index.json", NOTE_FILE),
}


def read_note(folder: Path) -> dict[str, Any]:
    """Read what `pbe.weights.export` recorded; empty if nothing was.

    Raises:
        InputError: it is damaged, or written by a later version.
    """
    path = folder / NOTE_FILE
    if not path.is_file():
        return {}
    note = read_json(path)
    sound = (
        note.get("format") == FORMAT_VERSION
        and note.get("weights") in ("raw", "ema", "unknown")
        and (note.get("step") is None or type(note["step"]) is int)
        and isinstance(note.get("bottleneck"), bool)
        and isinstance(note.get("encoders"), dict)
    )
    if not sound:
        raise InputError(f"{path}: is not a note of format {FORMAT_VERSION}; copy the model's folder again")
    return note


def is_own(folder: Path) -> bool:
    """Whether all that a folder holds, if anything, was written here, so that it may be replaced."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return not names or (names <= _OWN_NAMES and bool(read_note(folder)))
