"""Pair folder: photos with masks of your own, perhaps exemplars -> which files belong together.

Two forms: the folders `images/`, `masks/` and perhaps `exemplars/`, in which files of one name, suffix aside, belong
together; or `pairs.csv` with the columns image, mask, and perhaps exemplar and label, of paths relative to its folder.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipeline.errors import InputError
from pipeline.photos.formats import is_picture
from pipeline.storage.folder import Folder
from pipeline.storage.names import normal
from schemas.pairs import FILES

TABLE = "pairs.csv"
FOLDERS = ("images", "masks", "exemplars")
COLUMNS = ("image", "mask", "exemplar", "label")
NO_LABEL = "pair"
SHOWN_NAMES = 3
FORMS = (
    "give a folder that holds images/, masks/ and, if you like, exemplars/, with equal names (images/cat.jpg, "
    f"masks/cat.png), or a {TABLE} with the columns image,mask[,exemplar][,label]"
)


@dataclass(frozen=True)
class Pair:
    """A photo and what belongs to it: its id in NFC, and paths in the folder, empty where there is none."""

    image_id: str
    image: str
    mask: str
    exemplar: str = ""
    label: str = NO_LABEL


def read_pairs(folder: Folder, *, say: Callable[[str], None]) -> list[Pair]:
    """List the pairs in a folder.

    Args:
        say: called with a line on what is left aside.

    Raises:
        InputError: the folder has neither form, or no photo that has a mask.
    """
    if folder.local and Path(folder.path("")).is_file():
        raise InputError(f"--pairs {folder.url}: is a file; give its folder")
    if folder.local and not Path(folder.path("")).exists():
        raise InputError(f"--pairs {folder.url}: no such folder; {FORMS}")
    content = folder.read_if_there(TABLE)
    if content is not None:
        say(f"reading {TABLE}")
        pairs = _read_table(f"{folder.url}/{TABLE}", content)
    else:
        pairs = _read_folders(folder, say)
    if not any(pair.image and pair.mask for pair in pairs):
        images, masks = ([getattr(pair, name) for pair in pairs if getattr(pair, name)] for name in FILES[:2])
        raise InputError(
            f"--pairs {folder.url}: no photo has a mask of its name (photos: {some(images)}; masks: {some(masks)}); "
            f"{FORMS}"
        )
    return pairs


def _read_folders(folder: Folder, say: Callable[[str], None]) -> list[Pair]:
    """Pair the files of the folders by name; a photo or mask without its other half is a pair that will be dropped."""
    images, masks, exemplars = (_list_pictures(folder, name, say) for name in FOLDERS)
    if not images or not masks:
        lacking = " and ".join(f"{name}/" for name, files in zip(FOLDERS, (images, masks), strict=False) if not files)
        raise InputError(f"--pairs {folder.url}: no picture in {lacking}, and no {TABLE}; {FORMS}")
    lone = sorted(exemplars.keys() - images.keys())
    if lone:
        say(f"{len(lone)} exemplars are of no photo: {some(lone)}")
    return [
        Pair(stem, images.get(stem, ""), masks.get(stem, ""), exemplars.get(stem, ""))
        for stem in sorted(images.keys() | masks.keys())
    ]


def _list_pictures(folder: Folder, name: str, say: Callable[[str], None]) -> dict[str, str]:
    """List the pictures of one folder, by their names without suffix.

    Raises:
        InputError: two have one name, or a name is not text.
    """
    found: dict[str, str] = {}
    other = []
    for file in folder.names(name):
        path = PurePosixPath(file)
        if not is_picture(file) or file.startswith("."):
            other.append(file)
            continue
        _refuse_undecodable(f"{folder.url}/{name}", file)
        stem = normal(path.stem)
        if stem in found:
            one, same = found[stem], f"{name}/{file}"
            shown = f"{one!a} and {same!a}" if PurePosixPath(one).stem != path.stem else f"{one} and {same}"
            raise InputError(f"{folder.url}: {shown} have the same name; rename one, or give a {TABLE}")
        found[stem] = f"{name}/{file}"
    if other:
        say(f"left aside in {name}/, not pictures: {some(other)}")
    return found


def _read_table(url: str, content: bytes) -> list[Pair]:
    """Read the pairs of a CSV; its rows are the pairs, in order, and rows of one image share a photo.

    Raises:
        InputError: naming the line; two rows are the same pair.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{url}: is not UTF-8 ({error}); save it as UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or []]
        odd = [name for name in columns if name not in COLUMNS]
        if odd or not {"image", "mask"} <= set(columns) or len(set(columns)) < len(columns):
            raise InputError(f"{url}: its columns are {','.join(columns)}; give image,mask[,exemplar][,label]")
        reader.fieldnames = columns
        pairs: list[Pair] = []
        lines: dict[Pair, int] = {}  # by the pair with its paths in NFC: two spellings of a name mean one file
        for row in reader:
            pair = _pair_of(f"{url}: line {reader.line_num}", row)
            first = lines.setdefault(
                replace(pair, **{name: normal(getattr(pair, name)) for name in FILES}), reader.line_num
            )
            if first != reader.line_num:
                raise InputError(
                    f"{url}: lines {first} and {reader.line_num} are the same pair, {pair.image} with {pair.mask}; "
                    "take one of them out"
                )
            pairs.append(pair)
        return pairs
    except csv.Error as error:
        raise InputError(
            f"{url}: {error}, at line {reader.reader.line_num} or before; give a CSV of image,mask[,exemplar][,label]"
        ) from error


def _pair_of(place: str, row: dict[str | None, str | None]) -> Pair:
    if None in row or None in row.values():
        raise InputError(f"{place}: the number of fields differs from the header's; quote names that hold a comma")
    values = {str(name): str(value).strip() for name, value in row.items()}
    if not values["image"]:
        raise InputError(f"{place}: names no image")
    for name in FILES:
        path = PurePosixPath(values.get(name, ""))
        if path.is_absolute() or ".." in path.parts:
            raise InputError(f"{place}: {name} {values[name]}: give a path relative to the CSV's folder, inside it")
        values[name] = str(path) if values.get(name) else ""
    label = values.get("label") or NO_LABEL
    return Pair(normal(values["image"]), values["image"], values["mask"], values["exemplar"], label)


def _refuse_undecodable(place: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{place}: {name!r} is a name that is not UTF-8; rename it") from error


def some(names: Sequence[str]) -> str:
    """Write the first names, and how many more there are."""
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more if names else "none"
