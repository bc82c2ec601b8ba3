"""Sides: a dataset and its photos, or photos alone -> the photos of one side of the search, and where each lies."""

import hashlib
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pbe.feed.contents import read_contents
from pipeline.ahead import work_ahead
from pipeline.errors import InputError, PhotoError
from pipeline.photos.bounded_reads import read_picture
from pipeline.photos.fingerprints import photo_sha256
from pipeline.photos.id_forms import IdForms, forms_of
from pipeline.photos.store import PhotoStore
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from pipeline.storage.urls import absolute
from schemas.plan import PLACES
from schemas.shards import index_path

READERS = 8
GROUND_TRUTHS = re.compile(r"GT(_\d+)?")  # the folder of a COCOEE bench that holds whole pictures, and their names' end
_NAMED = ("image_id", "split", "photo_sha256")
SIDE = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("split", pa.string()),  # empty: no dataset says
        pa.field("sha256", pa.string()),  # of its bytes, as the dataset recorded it; empty: none did
        pa.field("archive", pa.string()),  # see PLACES; null: looked for by its name
        pa.field("archive_offset", pa.int64()),
        pa.field("archive_size", pa.int64()),
    ]
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """One side of the search.

    Args:
        label: what it was called on the command line.
        photos: SIDE, by name.
    """

    label: str
    photos: pa.Table
    store: PhotoStore

    def read(self, row: Row) -> bytes:
        """Read a photo's bytes.

        Raises:
            PhotoError: it is missing, unreadable, or not the one that the dataset was made of.
        """
        try:
            data = self._read(row)
        except PermissionError as error:
            raise PhotoError("not_allowed", str(error)) from error
        if row["sha256"] and photo_sha256(data) != row["sha256"]:
            raise PhotoError("other_bytes", "not the photo that the dataset was made of")
        return data

    def stamp(self) -> str:
        """Tell this side from others without reading photos: 16 hex digits of names, places, and what files look like.

        A dataset's photos are told apart by their recorded sha256, other files by size and time.
        """
        looks: dict[str, str] = {}
        seen = hashlib.sha256()
        for row in self.photos.to_pylist():
            place = row["archive"]
            if place and not row["sha256"] and place not in looks:
                looks[place] = _look_of(place)
            seen.update(repr((*row.values(), looks.get(place, ""))).encode())
        return seen.hexdigest()[:16]

    def _read(self, row: Row) -> bytes:
        if row["archive"] and row["archive_offset"] is None:
            folder, _, name = row["archive"].rpartition("/")
            return read_picture(Folder(folder or "/"), name)
        archived = {"archive": row["archive"], "offset": row["archive_offset"] or 0, "size": row["archive_size"] or 0}
        return self.store.fetch(row["name"], **archived)


def list_dataset(dataset: str, store: PhotoStore, *, progress: Callable[[int], Any] = lambda shards: None) -> Side:
    """List the photos that a finished dataset holds samples of.

    Raises:
        InputError: it is not a finished dataset, or an index is missing or damaged.
    """
    folder = Folder(dataset)
    shards = read_contents(folder, read_manifest(folder)).rows
    names = [index_path(row["split"], row["unit"], row["draw"]) for row in shards]
    with ThreadPoolExecutor(READERS) as pool:
        tables = []
        for table in work_ahead(pool, lambda name: _read_index(folder, name), names, ahead=READERS):
            tables.append(table)
            progress(1)
    if not tables:
        raise InputError(f"{dataset}: holds no sample; give a dataset that does")
    known = pa.concat_tables(tables).group_by(list(_NAMED)).aggregate([]).sort_by("image_id")
    places = pa.concat_tables([PLACES.empty_table(), *store.archived(forms_of(known["image_id"].combine_chunks()))])
    archived = {row["image_id"]: row for row in reversed(places.to_pylist())}
    rows = [
        {"name": row["image_id"], "split": row["split"], "sha256": row["photo_sha256"]}
        | {name: archived.get(row["image_id"], {}).get(name) for name in SIDE.names[3:]}
        for row in known.to_pylist()
    ]
    return Side(dataset, pa.Table.from_pylist(rows, schema=SIDE), store)


def list_photos(label: str, store: PhotoStore) -> Side:
    """List all photos of folders, one level deep, and tar files. A name that stands twice becomes its path.

    Raises:
        InputError: a folder is remote, where listing is left to the dataset, or there is no photo.
    """
    for folder in store.folders:
        if not folder.local:
            raise InputError(f"{label}: {folder.url}: photos are listed in local folders and tar files; give these")
    found = pa.concat_tables([PLACES.empty_table(), *store.places(IdForms(frozenset({0})))]).to_pylist()
    counts = pc.value_counts(pa.array([row["image_id"] for row in found], pa.string())).to_pylist()
    twice = {count["values"] for count in counts if count["counts"] > 1}
    rows = [
        {"name": _path_of(row) if row["image_id"] in twice else row["image_id"], "split": "", "sha256": ""}
        | {name: row[name] for name in SIDE.names[3:]}
        for row in found
    ]
    if not rows:
        raise InputError(f"{label}: no photo there; give the folder, or tar files, that hold the photos")
    return Side(label, pa.Table.from_pylist(rows, schema=SIDE).sort_by("name"), store)


def list_named(label: str, pictures: Mapping[str, str], *, anonymous: bool) -> Side:
    """List pictures that have names and paths or URLs of their own, as those of a table have."""
    rows = [{"name": name, "split": "", "sha256": "", "archive": absolute(path)} for name, path in pictures.items()]
    table = pa.Table.from_pylist(rows, schema=SIDE).sort_by("name")
    return Side(label, table, PhotoStore((), anonymous=anonymous))


def list_bench(bench: str, open_store: Callable[[str], PhotoStore]) -> Side:
    """List a bench's photos: the ground truths of a folder like COCOEE's, else all photos of a folder or tars."""
    folder = Path(bench).expanduser()
    truths = _ground_truths(folder) or _ground_truths(folder / "test_bench")
    side = list_photos(bench, open_store(str(truths) if truths else bench))
    if not truths:
        return side
    names = [name.removesuffix("_GT") for name in side.photos["name"].to_pylist()]
    return Side(bench, side.photos.set_column(0, "name", pa.array(names, pa.string())), side.store)


def _read_index(folder: Folder, name: str) -> pa.Table:
    try:
        return table_from(folder.read(name), list(_NAMED))
    except (FileNotFoundError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{folder.url}/{name}: missing or damaged ({error}); run verify_shards on it") from error


def _ground_truths(folder: Path) -> Path | None:
    """Find the folder of ground truths; None: it has none."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return next((path for path in inside if GROUND_TRUTHS.fullmatch(path.name)), None)


def _path_of(row: Row) -> str:
    return f"{row['archive']}: {row['member']}" if row["member"] else str(row["archive"])


def _look_of(place: str) -> str:
    try:
        status = Path(place).stat()
    except OSError:  # a remote tar
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"
