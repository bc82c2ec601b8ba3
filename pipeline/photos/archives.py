"""Archives: a tar file of photos -> PLACES, where each photo lies in it."""

import tarfile
from collections.abc import Iterator

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.photos.formats import is_picture
from pipeline.photos.id_forms import IdForms
from pipeline.storage.urls import filesystem, is_local
from schemas.plan import PLACES

ARCHIVE_BLOCK_BYTES = 8 << 20


def index_archive(url: str, forms: IdForms, *, anonymous: bool) -> pa.Table:
    """List the photos in a tar file, as PLACES: a row for each id that may mean one, in the tar's order.

    Raises:
        InputError: it is not a tar file.
    """
    fs, path = filesystem(url, anonymous=anonymous)
    options = {} if is_local(url) else {"block_size": ARCHIVE_BLOCK_BYTES}
    try:
        with fs.open(path, "rb", **options) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            columns = [list(column) for column in zip(*_rows(url, tar, forms), strict=True)] or [[] for _ in PLACES]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, PLACES, strict=True)]
    except (FileNotFoundError, tarfile.TarError, ValueError, OverflowError) as error:
        raise InputError(f"--images {url}: {error}; give tar files of photos") from error
    return pa.Table.from_arrays(arrays, schema=PLACES)


def _rows(url: str, tar: tarfile.TarFile, forms: IdForms) -> Iterator[tuple[str, str, int, int, str]]:
    for member in tar:
        if _is_archived_photo(member):
            for image_id in forms.ids_of(member.name.split("/")):
                yield image_id, url, member.offset_data, member.size, member.name


def _is_archived_photo(member: tarfile.TarInfo) -> bool:
    """Whether a member is a photo: not a folder, link or other file, and named in UTF-8, as ids in tables are."""
    is_text = member.name.encode(errors="replace").decode() == member.name
    return member.isfile() and not member.issparse() and is_text and is_picture(member.name)
