"""COCOEE: a folder in its layout -> cases. The layout, as published with Paint by Example:

    [test_bench/]id_list.npy                    ids, whole numbers; absent: those of the files
    [test_bench/]GT_3500/{id:012d}_GT.png       source, and what its hole showed
    [test_bench/]Ref_3500/{id:012d}_ref.png     exemplar
    [test_bench/]Mask_bbox_3500/{id:012d}_mask.png    255 = repaint; not binarised: grey is cut at half

The number in the folders' names may be another one, or missing.
"""

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from tokenize import TokenError
from typing import Any

import numpy as np

from pbe.editing.case import Case
from pbe.evaluation.bench.cases import GUIDANCE, seed_of_case
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute

ROOT, ID_LIST = "test_bench", "id_list.npy"
PARTS = {"GT": "_GT.png", "Ref": "_ref.png", "Mask_bbox": "_mask.png"}  # folder -> ending of its files
LAYOUT = (
    f"[{ROOT}/]{ID_LIST}, GT_3500/000000000001_GT.png, Ref_3500/000000000001_ref.png, "
    "Mask_bbox_3500/000000000001_mask.png"
)
NAMED = 3
_ID_DIGITS = 12


@dataclass(frozen=True)
class Listed:
    """What a folder in COCOEE's layout lists.

    Args:
        ids: of its cases, as listed, also twice.
        cases: one for each id.
        notes: files that belong to no case.
    """

    ids: tuple[int, ...]
    cases: tuple[Case, ...]
    notes: tuple[str, ...]


def list_cocoee(url: str, *, seed: int) -> Listed:
    """List the cases of a folder in COCOEE's layout; opens no picture.

    Raises:
        InputError: it is no such folder, its list is damaged, or there is no case in it.
    """
    root = _find_root(url)
    folders = {part: _find_part(root, part) for part in PARTS}
    names = {part: [name for name in root.names(folder) if name[0] != "."] for part, folder in folders.items()}
    found = {part: _ids_of(names[part], ending) for part, ending in PARTS.items()}
    there = set().union(*found.values())
    listed = _read_ids(root)
    ids = sorted(there) if listed is None else listed
    if not ids:
        raise InputError(f"--bench {url}: lists no case; the layout is {LAYOUT}")
    notes = [*_note_unlisted(root, there - set(ids)), *_note_others(folders, names, found)]
    # As if a table lay in the folder: paths are relative to it, and faults name the case.
    place = f"{root.url.rstrip('/')}/{ID_LIST}"
    return Listed(tuple(ids), tuple(_case(number, folders, place, seed) for number in ids), tuple(notes))


def _case(number: int, folders: dict[str, str], place: str, seed: int) -> Case:
    name = name_of(number)
    truth, exemplar, mask = (f"{folders[part]}/{name}{ending}" for part, ending in PARTS.items())
    return Case(
        name=name,
        source=truth,
        exemplar=exemplar,
        mask=mask,
        table=place,
        guidance=(float(GUIDANCE),),
        seeds=(seed_of_case(seed, name),),
        ground_truth=truth,
    )


def name_of(number: int) -> str:
    """Name a case as its files do: at least 12 digits."""
    return f"{number:0{_ID_DIGITS}d}"


def _find_root(url: str) -> Folder:
    """Find the folder that holds the pictures' folders."""
    folder = Folder(absolute(url))
    try:
        names = folder.names("")
    except OSError as error:
        raise InputError(f"--bench {url}: cannot be listed ({error}); check the address and the credentials") from error
    if not names:
        raise InputError(f"--bench {url}: no such folder, or an empty one; give one in COCOEE's layout, or a CSV")
    if ROOT in names and not any(_is_part("GT", name) for name in names):
        return Folder(f"{folder.url.rstrip('/')}/{ROOT}")
    return folder


def _find_part(root: Folder, part: str) -> str:
    """Find the one folder of a part."""
    found = [name for name in root.names("") if _is_part(part, name)]
    if len(found) == 1:
        return found[0]
    what = f"holds {' and '.join(found)}; leave one of them" if found else f"has no folder {part}_3500, or {part}"
    table = "; for a table of cases give its CSV" if not found else ""
    raise InputError(f"--bench {root.url}: {what}{table}. The layout is {LAYOUT}")


def _is_part(part: str, name: str) -> bool:
    return re.fullmatch(rf"{part}(_\d+)?", name) is not None


def _ids_of(names: Iterable[str], ending: str) -> set[int]:
    pattern = re.compile(rf"(\d{{{_ID_DIGITS},}}){re.escape(ending)}")
    matches = (pattern.fullmatch(name) for name in names)
    return {int(match[1]) for match in matches if match and match[1] == name_of(int(match[1]))}


def _read_ids(root: Folder) -> list[int] | None:
    """Read the list of ids; None: there is none.

    Raises:
        InputError: it is not one row of whole numbers from 0. Nothing in it is executed.
    """
    content = root.read_if_there(ID_LIST)
    if content is None:
        return None
    try:
        loaded: Any = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError, SyntaxError, TokenError) as error:
        raise InputError(f"{root.url}/{ID_LIST}: is not a list of ids ({error}); write it by numpy.save") from error
    if not isinstance(loaded, np.ndarray) or loaded.ndim != 1 or loaded.dtype.kind not in "iu":
        kind = f"{loaded.dtype} {list(loaded.shape)}" if isinstance(loaded, np.ndarray) else type(loaded).__name__
        raise InputError(f"{root.url}/{ID_LIST}: holds {kind}; give one row of whole numbers [n]")
    if loaded.size and loaded.min() < 0:
        raise InputError(f"{root.url}/{ID_LIST}: holds the id {loaded.min()}; ids begin at 0")
    return [int(number) for number in loaded]


def _note_unlisted(root: Folder, unlisted: set[int]) -> list[str]:
    if not unlisted:
        return []
    return [f"{len(unlisted):,} ids have files and are not in {ID_LIST}: {_some(map(name_of, sorted(unlisted)))}"]


def _note_others(folders: dict[str, str], names: dict[str, list[str]], found: dict[str, set[int]]) -> list[str]:
    """Say which files have no name of the layout."""
    others = []
    for part, ending in PARTS.items():
        known = {f"{name_of(number)}{ending}" for number in found[part]}
        others += [f"{folders[part]}/{name}" for name in names[part] if name not in known]
    return [f"{len(others):,} files have no name of the layout: {_some(others)}"] if others else []


def _some(names: Iterable[str]) -> str:
    every: Sequence[str] = list(names)
    return ", ".join(every[:NAMED]) + (f" and {len(every) - NAMED:,} more" if len(every) > NAMED else "")
