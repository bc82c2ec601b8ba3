"""Writable: a local folder that a command will write to -> nothing, or a refusal before any work is done."""

import os
import shutil
from pathlib import Path

from pipeline.errors import InputError
from pipeline.storage.urls import absolute_output, is_local

LEAST_ROOM = 1 << 16  # bytes: a disk with less counts as full


def local_output(flag: str, folder: str) -> Path:
    """Return the absolute path of a folder on a local disk that a command will write to; nothing is made.

    Raises:
        InputError: none is named, it lies elsewhere, or `refuse_unwritable` refuses it.
    """
    if not folder:
        raise InputError(f"{flag}: is empty; give a folder")
    place = absolute_output(flag, folder)
    if not is_local(place):
        raise InputError(f"{flag} {folder}: give a folder on a local disk")
    refuse_unwritable(f"{flag} {folder}", Path(place))
    return Path(place)


def refuse_unwritable(flag: str, folder: Path) -> None:
    """Refuse a folder that cannot be made or written to, or whose disk is full; nothing is made.

    Args:
        flag: with its value, as the error opens.

    Raises:
        InputError: naming the file or folder that is in the way.
    """
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        what = "a file" if there.exists() else "a link that leads nowhere"
        raise InputError(f"{flag}: {there} is {what}; give another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{flag}: {there} may not be written to; give another place")
    room = shutil.disk_usage(there)
    if room.total and room.free < LEAST_ROOM:  # some network disks do not know their size
        raise InputError(f"{flag}: the disk of {there} is full ({room.free:,} bytes left); make room or give another")
