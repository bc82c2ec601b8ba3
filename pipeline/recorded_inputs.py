"""Recorded inputs: flags, and what the dataset's own run recorded -> the box tables and photos that are still there."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.boxes.class_names import read_class_names
from pipeline.boxes.listing import list_tables
from pipeline.errors import InputError
from pipeline.pairing.store import PairStore
from pipeline.pairing.table import read_kept
from pipeline.photos.store import PhotoStore
from pipeline.shards.manifest import read_config
from pipeline.shards.recipe import Json
from pipeline.storage.folder import Folder
from pipeline.storage.globs import expand
from pipeline.storage.urls import absolute, is_local


@dataclass(frozen=True)
class Inputs:
    """What a dataset was made from, as far as it can be read now.

    Args:
        tables, image_info: box and image-info tables; empty: not known, or gone.
        store: where photos are; None: not known, or gone.
        class_names: label -> name.
        absent: what was recorded and is not there any more, or lies where only a flag makes us look, a line each.
    """

    tables: tuple[str, ...]
    image_info: tuple[str, ...]
    store: PhotoStore | None
    class_names: dict[str, str]
    absent: tuple[str, ...]


def find_inputs(
    folder: Folder,
    *,
    boxes: Sequence[str] = (),
    images: Sequence[str] = (),
    image_info: Sequence[str] = (),
    classes: str = "",
    anonymous: bool = False,
) -> Inputs:
    """Find tables and photos: those of the flags, else those that OUT/run/config.json names, where they still are.

    Recorded URLs are left alone, since nobody asked for the network: give them as flags.

    Raises:
        InputError: what a flag names is not there.
    """
    recorded = read_config(folder)
    absent: list[str] = []
    tables = _absolute(boxes) or _recorded(recorded, "boxes", absent)
    info = _absolute(image_info) or ([] if boxes else _recorded(recorded, "image_info", absent))
    roots = _absolute(images) or _recorded(recorded, "images", absent)
    names = [absolute(classes)] if classes else _recorded(recorded, "classes", absent)
    anonymous = anonymous or bool(recorded.get("anonymous"))
    return Inputs(
        tables=tuple(list_tables("--boxes", tables, anonymous=anonymous)),
        image_info=tuple(list_tables("--image-info", info, anonymous=anonymous)),
        store=_open_store(folder, roots, given=bool(images), anonymous=anonymous, absent=absent),
        class_names=_read_names(names, given=bool(classes), anonymous=anonymous, absent=absent),
        absent=tuple(absent),
    )


def _absolute(urls: Sequence[str]) -> list[str]:
    return [absolute(url) for url in urls]


def _recorded(config: Json, field: str, absent: list[str]) -> list[str]:
    """List the recorded paths of a field if all of them are there; else note the first that is not."""
    value = config.get(field) or []
    listed = value if isinstance(value, list) else [value]
    urls = [url for url in listed if isinstance(url, str)]
    for url in urls:
        flag = f"--{field.replace('_', '-')}"
        if not is_local(url):
            absent.append(f"{url} is not local: give it as {flag} to read it")
            return []
        if not _matches(url):
            absent.append(f"{url} is not there any more: give {flag}")
            return []
    return urls


def _read_names(names: list[str], *, given: bool, anonymous: bool, absent: list[str]) -> dict[str, str]:
    """Read class names; those that nobody asked for may be damaged: labels do instead."""
    try:
        return read_class_names(names[0], anonymous=anonymous) if names else {}
    except InputError as error:
        if given:
            raise
        absent.append(str(error))
        return {}


def _matches(path: str) -> bool:
    """Whether a path, or a glob, names something."""
    with suppress(InputError):
        return all(Path(found).exists() for found in expand(path))
    return False


def _open_store(
    folder: Folder, roots: list[str], *, given: bool, anonymous: bool, absent: list[str]
) -> PhotoStore | None:
    if not roots:
        return None
    try:
        pairs = read_kept(folder)
        if pairs is not None:  # beside a photo there may be a mask and an exemplar of its name
            return PairStore(Folder(roots[0], anonymous), pairs)
        return PhotoStore(tuple(roots), anonymous=anonymous)
    except InputError as error:
        if given:
            raise
        absent.append(str(error))  # the folder is there, the photos are gone: what needs none of them goes on
        return None
