"""Note: pbe.json, what our own folders of weights say of themselves."""

from pathlib import Path
from typing import Any

from pbe.weights.tensor_files import read_json
from pipeline.errors import InputError

NOTE_FILE = "pbe.json"
FORMAT_VERSION = 1  # of NOTE_FILE


def read_note(folder: Path) -> dict[str, Any]:
    """Read what `pbe.weights.export` recorded; empty: nothing.

    Raises:
        InputError: it is damaged, or of a later version.
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
        raise InputError(f"{path}: is no note of format {FORMAT_VERSION}; copy the model's folder again")
    return note
