"""Folder: any fsspec URL -> bytes in, complete files out.

A file is either missing or complete: local files are written aside, synced and renamed, objects arrive by one PUT or a
completed multipart upload.
"""

import errno
import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pipeline.errors import InputError
from pipeline.storage.retries import http_status, read_bytes, with_retries
from pipeline.storage.s3_listings import without_garbage_collection
from pipeline.storage.scratch import scratch_folder
from pipeline.storage.urls import filesystem, is_local, is_web
from pipeline.storage.whole_files import move_to_place, sync_file, sync_folder
from schemas.shards import json_bytes

S3_MOST_DELETED = 1000  # by one request
NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def _allow() -> None:
    """Forbid nothing."""


@dataclass(frozen=True)
class Folder:
    """A folder at any fsspec URL; names inside it are relative and cannot leave it.

    Args:
        guard: called before anything is written or removed; may raise to forbid it.
    """

    url: str
    anonymous: bool = False
    guard: Callable[[], None] = field(default=_allow, repr=False, compare=False)

    @property
    def fs(self) -> Any:
        return filesystem(self.url, anonymous=self.anonymous)[0]

    @property
    def local(self) -> bool:
        return is_local(self.url)

    def path(self, name: str) -> str:
        """Return the path of a name on the folder's filesystem; of a web server's, percent-encoded.

        Raises:
            ValueError: the name would leave the folder.
        """
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"{name!r} would leave {self.url}")
        root: str = filesystem(self.url, anonymous=self.anonymous)[1]
        return f"{root.rstrip('/')}/{quote(name) if is_web(self.url) else name}"

    def name_of(self, path: str) -> str:
        """Return the last name of a path that the folder's filesystem lists."""
        last = path.rstrip("/").rsplit("/", 1)[-1]
        return unquote(last) if is_web(self.url) else last

    def read(self, name: str) -> bytes:
        """Read a file.

        Raises:
            FileNotFoundError: it is missing.
        """
        return read_bytes(self.fs, self.path(name))

    def read_if_there(self, name: str) -> bytes | None:
        """Read a file by one request; None where it is missing."""
        try:
            return self.read(name)
        except FileNotFoundError:
            return None

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Read `size` bytes from `offset`: one range request."""
        return read_bytes(self.fs, self.path(name), start=offset, end=offset + size)

    def names(self, name: str) -> list[str]:
        """List the names of the files in a sub-folder; empty where it is missing."""
        try:
            if self.local:
                with os.scandir(self.path(name)) as entries:  # fsspec would ask each file for its size and time
                    return sorted(entry.name for entry in entries)
            self.fs.invalidate_cache()
            with without_garbage_collection():
                paths = with_retries(lambda: self.fs.ls(self.path(name), detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(self.name_of(str(path)) for path in paths)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, replacing what is there."""
        with self.scratch() as folder:
            (folder / "file").write_bytes(content)
            self.publish(folder / "file", name)

    def write_json(self, name: str, content: Any) -> None:
        """Write JSON with sorted keys, so that equal contents give equal bytes."""
        self.write(name, json_bytes(content))

    def create(self, name: str, content: bytes) -> bool:
        """Write a file only where there is none.

        Returns:
            Whether the file now holds this content: also when an earlier attempt, whose answer was lost, wrote it.
        """
        self.guard()
        if self.local:
            with self.scratch() as folder:
                (folder / "file").write_bytes(content)
                created = self._link(folder / "file", name)
        else:
            created = self._put_new(name, content)
        return created or self.read_if_there(name) == content

    def publish(self, built: Path, name: str) -> None:
        """Move a file built in `scratch` to its place, complete at once."""
        self.guard()
        target = self.path(name)
        if not self.local:
            with_retries(lambda: self.fs.put_file(str(built), target))
            return
        place = Path(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        move_to_place(built, place)

    def scratch(self) -> AbstractContextManager[Path]:
        """Give a local folder to build files in, on the same disk as a local folder's files; see scratch_folder."""
        parent = Path(self.path("run/tmp")) if self.local else Path(tempfile.gettempdir()) / "pbe-scratch"
        return scratch_folder(parent)

    def delete(self, name: str) -> None:
        """Remove one file, if it is there."""
        self.guard()
        with suppress(FileNotFoundError):
            with_retries(lambda: self.fs.rm_file(self.path(name)))

    def remove(self, name: str) -> None:
        """Remove a file or a sub-folder, if it is there; of a link to a folder, what lies in that folder."""
        self.guard()
        if self.local:
            path = Path(self.path(name))
            if path.is_symlink() and path.is_dir():
                for entry in list(path.iterdir()):
                    self.remove(f"{name}/{entry.name}")
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        else:
            self._remove_remote(self.path(name))

    def refuse_outside(self, *names: str) -> None:
        """Refuse files and sub-folders that are to be removed, but lie elsewhere, where a link leads.

        Raises:
            InputError: naming the link and where it leads.
        """
        if not self.local:
            return
        for path in (Path(self.path(name)) for name in names):
            place = path.resolve() if path.is_dir() else path.parent.resolve()
            inside = place.is_relative_to(Path(self.path("")).resolve())
            if not inside and path.exists() and (path.is_file() or any(path.iterdir())):
                raise InputError(
                    f"{path}: leads to {place}, outside of {self.url}, where nothing is removed; empty it yourself, or "
                    "remove the link"
                )

    def abort_uploads(self) -> int:
        """Abort the multipart uploads into this folder that a killed job left, and return how many (S3 only).

        Raises:
            PermissionError: the credentials do not allow it.
        """
        self.guard()
        fs = self.fs
        if not hasattr(fs, "list_multipart_uploads"):
            return 0
        bucket, prefix, _ = fs.split_path(self.path(""))
        aborted = 0
        marker: dict[str, str] = {}
        while True:
            query = {"Bucket": bucket, "Prefix": prefix, **marker}
            page = with_retries(functools.partial(fs.call_s3, "list_multipart_uploads", **query))
            for upload in page.get("Uploads", []):
                place = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                with suppress(FileNotFoundError):
                    with_retries(functools.partial(fs.call_s3, "abort_multipart_upload", **place))
                    aborted += 1
            if not page.get("IsTruncated"):
                return aborted
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _remove_remote(self, path: str) -> None:
        """Remove what lies at a path or below it, by exact names: fsspec's `rm` would take them for patterns."""
        fs = self.fs
        fs.invalidate_cache()
        found = [str(other) for other in with_retries(lambda: fs.find(path))]
        inside = [other for other in found if other == path or other.startswith(f"{path}/")]
        if not hasattr(fs, "call_s3"):
            for other in inside:
                with_retries(functools.partial(fs.rm_file, other))
            return
        for first in range(0, len(inside), S3_MOST_DELETED):
            objects = [{"Key": fs.split_path(other)[1]} for other in inside[first : first + S3_MOST_DELETED]]
            query = {"Bucket": fs.split_path(path)[0], "Delete": {"Objects": objects, "Quiet": True}}
            for failed in with_retries(functools.partial(fs.call_s3, "delete_objects", **query)).get("Errors", []):
                raise OSError(f"{failed.get('Key')}: cannot be removed ({failed.get('Code')})")
        fs.invalidate_cache()

    def _link(self, built: Path, name: str) -> bool:
        """Bring a file to its place where there is none; False where there is one."""
        place = Path(self.path(name))
        place.parent.mkdir(parents=True, exist_ok=True)
        sync_file(built)
        try:
            os.link(built, place)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            if place.exists():  # the job's lock keeps others away
                return False
            built.replace(place)
        sync_folder(place.parent)
        return True

    def _put_new(self, name: str, content: bytes) -> bool:
        """PUT an object where there is none; False where there is one."""
        path = self.path(name)
        try:
            with_retries(lambda: self.fs.pipe_file(path, content, mode="create"))
        except FileExistsError:
            return False
        except OSError as error:
            if http_status(error) != 501:  # a server that knows no conditional PUT
                raise
            if self.read_if_there(name) is not None:
                return False
            with_retries(lambda: self.fs.pipe_file(path, content))
        return True
