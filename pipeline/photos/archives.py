"""Archives: a tar file of photos -> PLACES, where each photo lies in it."""

import tarfile
from pathlib import Path

import pyarrow as pa

from pipeline.errors import InputError
from pipeline.photos.formats import SUFFIXES
from pipeline.storage.names import normal
from pipeline.storage.urls import filesystem, is_local
from schemas.plan import PLACES

ARCHIVE_BLOCK_BYTES = 8 << 20


def index_archive(url: str, *, anonymous: bool) -> pa.Table:
    """List the photos in a tar file by their names without folder and suffix, as PLACES.

    Raises:
        InputError: it is not a tar file.
    """
    fs, path = filesystem(url, anonymous=anonymous)
    options = {} if is_local(url) else {"block_size": ARCHIVE_BLOCK_BYTES}
    try:
        with fs.open(path, "rb", **options) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            rows = [(normal(Path(m.name).stem), url, m.offset_data, m.size) for m in tar if _is_archived_photo(m)]
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, PLACES, strict=True)]
    except (FileNotFoundError, tarfile.TarError, ValueError, OverflowError) as error:
        raise InputError(f"--images {url}: {error}; give tar files of photos") from error
    return pa.Table.from_arrays(arrays, schema=PLACES)


def _is_archived_photo(member: tarfile.TarInfo) -> bool:
    """Whether a member is a photo: not a folder, link or other file, and named in UTF-8, as ids in tables are."""
    is_text = member.name.encode(errors="replace").decode() == member.name
    return member.isfile() and not member.issparse() and is_text and Path(member.name).suffix in SUFFIXES
