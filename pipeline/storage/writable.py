"""Writable: a local folder that a command will write to -> nothing, or a refusal before any work is done."""

import os
from pathlib import Path

from pipeline.errors import InputError


def refuse_unwritable(flag: str, folder: Path) -> None:
    """Refuse a folder that cannot be made or written to; nothing is made.

    Args:
        flag: with its value, as the error opens.

    Raises:
        InputError: naming the file or folder that is in the way.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise InputError(f"{flag}: {there} is a file; give another place")
    if not os.access(there, os.W_OK):
        raise InputError(f"{flag}: {there} may not be written to; give another place")
