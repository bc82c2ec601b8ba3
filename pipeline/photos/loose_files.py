"""Loose files: a local folder of photos -> PLACES of all that an id may mean, and single names that no one would guess.

A photo lies at `ID.jpg` in the folder, or in one of its sub-folders: `SUB/ID.jpg`.
"""

import functools
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

import pyarrow as pa

from pipeline.photos.formats import SUFFIXES, is_picture
from pipeline.photos.id_forms import IdForms
from pipeline.storage.names import normal
from schemas.plan import PLACES

BLOCK_ROWS = 100_000


def list_loose(root: str, forms: IdForms) -> Iterator[pa.Table]:
    """List the photos in a folder, as PLACES in blocks; names alone are read, no file is looked at."""
    rows = _rows(root, forms)
    while block := list(islice(rows, BLOCK_ROWS)):
        ids, paths = (pa.array(column, pa.string()) for column in zip(*block, strict=True))
        nothing = [pa.nulls(len(ids), field.type) for field in (PLACES.field(name) for name in PLACES.names[2:])]
        yield pa.Table.from_arrays([ids, paths, *nothing], schema=PLACES)


def subfolders(root: str) -> tuple[str, ...]:
    """List the names of a folder's sub-folders, links to folders too."""
    with os.scandir(root) as entries:
        return tuple(sorted(entry.name for entry in entries if _is_folder(entry)))


@functools.lru_cache(maxsize=1024)
def odd_names(folder: str) -> dict[str, str]:
    """List the pictures of a folder whose suffix is in no usual case, by their names without it."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if is_picture(entry.name))
        return {normal(name.rpartition(".")[0]): name for name in reversed(names) if not name.endswith(SUFFIXES)}
    return {}


def _rows(root: str, forms: IdForms) -> Iterator[tuple[str, str]]:
    """List ids and paths."""
    for parts in _pictures(root, [], deepest=max(forms.depths, default=-1) + 1):
        path = os.path.join(root, *parts)  # noqa: PTH118  a million times
        for image_id in forms.ids_of(parts):
            if image_id.count("/") >= len(parts) - 2:  # the sub-folder alone may be left out
                yield image_id, path


def _pictures(root: str, above: list[str], *, deepest: int) -> Iterator[list[str]]:
    """Walk through a folder, as deep as ids may reach, and list the paths of its pictures by their parts."""
    folders = []
    with suppress(PermissionError), os.scandir(os.path.join(root, *above)) as entries:  # noqa: PTH118
        for entry in entries:
            if is_picture(entry.name) and entry.name.isprintable() and not _is_folder(entry):
                yield [*above, entry.name]
            elif len(above) < deepest and _is_folder(entry):
                folders.append(entry.name)
    for name in sorted(folders):
        yield from _pictures(root, [*above, name], deepest=deepest)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
