"""Problems: a file of a dataset, read to be verified -> its content, or what is wrong and how to fix it."""

import hashlib
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import safetensors
import safetensors.numpy

from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from

# What reading damaged Parquet, tar, JSON, safetensors or JPEG raises.
UNREADABLE = (ValueError, RecursionError, tarfile.TarError, safetensors.SafetensorError)
UNREACHABLE = "cannot be read ({error}); check the storage, and verify again"


class MissingError(ValueError):
    """A file that must be there is not."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file of the dataset.

    Args:
        remove: what to remove, so that the same shard command makes it anew.
    """

    file: str
    what: str
    remove: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def describe_remedy(problems: Iterable[Problem]) -> str:
    """Describe what to do about problems."""
    remove = sorted({name for problem in problems for name in problem.remove})
    first = f"remove {' '.join(remove)}, then " if remove else ""
    return f"to fix: {first}run the command that made it again; it makes only what is missing"


def read_file(out: Folder, name: str, sha256: str | None) -> bytes:
    """Read a file that must be there, with this digest where one is known.

    Raises:
        MissingError: it is missing.
        ValueError: it is a folder, or has another digest.
        OSError: the storage failed.
    """
    try:
        content = out.read(name)
    except FileNotFoundError as error:
        raise MissingError("missing") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise ValueError("not a file, but a folder, or below a file") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{len(content):,} bytes whose sha256 is not the recorded one")
    return content


def read_table(content: bytes, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table of one schema.

    Raises:
        ValueError: it is not one.
    """
    try:
        table = table_from(content)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"unreadable ({first_line(error)})") from error
    if not table.schema.equals(schema):
        raise ValueError(f"its columns are {', '.join(table.column_names)[:200]}, or have other types")
    return table


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
