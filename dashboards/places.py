"""Places: where a page, a table or pictures are to be written -> refused at once, or written complete."""

import os
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import InputError
from pipeline.storage.retries import with_retries
from pipeline.storage.urls import absolute_output, filesystem, is_local
from pipeline.storage.whole_files import write_aside
from pipeline.storage.writable import refuse_unwritable


def refuse_bad_place(flag: str, file: str, *, example: str = "page.html") -> None:
    """Refuse a local place where a file cannot be written, before any work is done.

    Args:
        example: a name that would do.

    Raises:
        InputError: naming what is in the way.
    """
    if not is_local(place := absolute_output(flag, file)):
        return
    path = Path(place)
    if path.is_dir():
        raise InputError(f"{flag} {file}: is a folder; give the name of a file, such as {file.rstrip('/')}/{example}")
    if not path.parent.exists():
        raise InputError(f"{flag} {file}: there is no folder {path.parent}; make it, or give another place")
    refuse_unwritable(f"{flag} {file}", path.parent)


def refuse_bad_folder(flag: str, folder: str) -> None:
    """Refuse what is no local folder, nor can become one, before any work is done.

    Raises:
        InputError: naming what is in the way.
    """
    if not is_local(place := absolute_output(flag, folder)):
        raise InputError(f"{flag} {folder}: give a folder on this machine")
    refuse_unwritable(f"{flag} {folder}", Path(place))


def write_file(file: str, content: bytes) -> None:
    """Write a page or table, complete or not at all."""
    fs, path = filesystem(absolute_output("the file", file))
    if isinstance(fs, LocalFileSystem):
        write_aside(Path(path), content, writer=str(os.getpid()))
    else:
        with_retries(lambda: fs.pipe_file(path, content))
