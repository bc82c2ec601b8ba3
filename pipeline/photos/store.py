"""Store: an image id -> a photo's bytes, from folders and tar files."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipeline.errors import InputError, PhotoError
from pipeline.photos.archives import index_archive
from pipeline.photos.bounded_reads import MAX_PHOTO_BYTES, read_if_there, refuse_unsafe
from pipeline.photos.formats import SUFFIXES, is_picture
from pipeline.photos.id_forms import IdForms
from pipeline.photos.loose_files import list_loose, odd_names, subfolders
from pipeline.storage.folder import Folder
from pipeline.storage.globs import expand
from pipeline.storage.retries import read_bytes, with_retries
from pipeline.storage.urls import filesystem

PROBED_PHOTOS = 32


class PhotoStore:
    """Where photos are: folders and tar files, given by `--images`.

    Attributes:
        equal_boxes: whether equal boxes of a photo are told apart by something that is kept beside the table.
        at_hand: whether photos are read again for pictures of a finished dataset.

    Raises:
        InputError: a root is missing, holds no photos, or is a compressed tar.
    """

    equal_boxes = False
    at_hand = False

    def __init__(self, roots: tuple[str, ...], *, anonymous: bool) -> None:
        self.anonymous = anonymous
        self.folders: list[Folder] = []
        self.archives: list[str] = []
        for pattern in roots:
            for root in expand(pattern, anonymous=anonymous):
                self._add(root)

    def archived(self, forms: IdForms) -> Iterator[pa.Table]:
        """List the photos in the tar files, as PLACES, by the ids of these forms that may mean them."""
        for archive in self.archives:
            yield index_archive(archive, forms, anonymous=self.anonymous)

    def places(self, forms: IdForms) -> Iterator[pa.Table]:
        """List the photos in tar files and local folders, as PLACES, by the ids of these forms that may mean them."""
        yield from self.archived(forms)
        for folder in self.folders:
            if folder.local:
                yield from list_loose(folder.path("").rstrip("/"), forms)

    def fetch(self, image_id: str, *, archive: str | None = None, offset: int = 0, size: int = 0) -> bytes:
        """Read a photo's bytes.

        Args:
            archive: the tar file that holds it, with its place there.

        Raises:
            PhotoError: it is nowhere, empty or too large, or its id would leave the folder.
            OSError: storage failed for a passing cause, after all retries.
        """
        data = self._read_archived(archive, offset, size) if archive else self._read_file(image_id)
        if not data:
            raise PhotoError("empty", "0 bytes")
        return data

    def _add(self, root: str) -> None:
        folder = Folder(root, self.anonymous)
        is_folder = folder.local and Path(folder.path("")).is_dir()  # whatever its name ends in
        if not is_folder and root.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
            raise InputError(f"--images {root}: photos cannot be read at random from a compressed tar; unpack it first")
        if not is_folder and _is_tar(root):
            self.archives.append(root)
            return
        if not folder.local:
            self.folders.append(folder)  # the first photos planned will show: listing millions of objects is slow
            return
        path = Path(folder.path(""))
        if not is_folder:
            raise InputError(f"--images {root}: no such folder; give the folder, or tar files, that hold the photos")
        archives = sorted(str(file) for file in path.iterdir() if _is_tar(file.name) and not file.is_dir())
        self.archives += archives
        if any(is_picture(file.name) for pattern in ("*", "*/*") for file in path.glob(pattern)):
            self.folders.append(folder)
        elif not archives:
            raise InputError(
                f"--images {root}: no photo ({', '.join(SUFFIXES[:4])} ...) here or one folder deeper, and no .tar"
            )

    def _read_archived(self, archive: str, offset: int, size: int) -> bytes:
        if size > MAX_PHOTO_BYTES:
            raise PhotoError("too_many_bytes", f"{size} bytes")
        fs, path = filesystem(archive, anonymous=self.anonymous)
        return read_bytes(fs, path, start=offset, end=offset + size) if size else b""

    def _read_file(self, image_id: str) -> bytes:
        refuse_unsafe(image_id)
        for folder in self.folders:
            for prefix in self._prefixes(folder, image_id):
                for name in self._names(folder, f"{prefix}{image_id}"):
                    data = read_if_there(folder, name)
                    if data is not None:
                        return data
        raise PhotoError("missing", "")

    def _names(self, folder: Folder, stem: str) -> Iterator[str]:
        """Under which names a photo may lie: a missing one costs a request each on remote storage."""
        if is_picture(stem):
            yield stem
        yield from (f"{stem}{suffix}" for suffix in SUFFIXES)
        if folder.local:
            above, _, name = stem.rpartition("/")
            odd = odd_names(folder.path(above)).get(name)
            if odd:
                yield f"{above}/{odd}".lstrip("/")

    def _prefixes(self, folder: Folder, image_id: str) -> Iterator[str]:
        """Where in a folder to look: in itself, then, listed only if need be, its sub-folders, likeliest first.

        Open Images' train_7 holds the ids that begin with 7.
        """
        yield ""
        names = _subfolders_of(folder.url, self.anonymous)
        yield from sorted(names, key=lambda name: not name.rstrip("/").endswith(f"_{image_id[:1]}"))


def _is_tar(name: str) -> bool:
    """Whether a name ends as tar files' names do, in any case."""
    return name.lower().endswith(".tar")


@functools.lru_cache(maxsize=16)
def _subfolders_of(url: str, anonymous: bool) -> tuple[str, ...]:
    folder = Folder(url, anonymous)
    if folder.local:
        return tuple(f"{name}/" for name in subfolders(folder.path("")))
    try:
        entries = with_retries(lambda: folder.fs.ls(folder.path(""), detail=True))
    except (FileNotFoundError, PermissionError):  # many servers of files list nothing
        return ()
    return tuple(sorted(f"{folder.name_of(e['name'])}/" for e in entries if e["type"] == "directory"))
