"""Pictures: a folder of finished pictures and cases -> those pictures: how a system that ran elsewhere takes part.

Imports no torch.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from pbe.editing.canvas import scale_to
from pbe.editing.inputs import MAX_PIXELS
from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.methods.protocol import CaseError, Edited, MethodOptions
from pipeline.arrays import Pixels
from pipeline.decoding.colour import on_backdrop
from pipeline.decoding.decode import decode_picture
from pipeline.draws.mask_pictures import has_shape_of
from pipeline.errors import InputError, PhotoError
from pipeline.shards.recipe import digest_of
from pipeline.storage.folder import Folder

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
COCOEE_DIGITS = 12  # of an id, as its files are named


class FinishedPictures:
    """Pictures `{case}.png`, `.jpg` or `.webp` of a folder or URL; also, of a case that is a number, `{id:012d}.png`.

    One of another size than its source is resized where it has its aspect, else refused.
    """

    notes = ("finished pictures; one of another size with the source's aspect is resized",)

    def __init__(self, name: str, folder: str) -> None:
        self.name = name
        self._url = folder
        self._folder = Folder(folder)

    def available(self) -> str:
        return "" if self._files else f"{self._url}: holds no pictures ({', '.join(SUFFIXES)})"

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Which pictures these are: names, sizes and times of the files."""
        return {"files": digest_of(self._stamps())}

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        return [self._picture_of(case) for case in cases]

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        """Names of files by what they are called without suffix."""
        files = defaultdict(list)
        for name in self._folder.names(""):
            stem, dot, suffix = name.rpartition(".")
            if f"{dot}{suffix}".lower() in SUFFIXES:
                files[stem].append(name)
        return dict(files)

    def _stamps(self) -> list[list[str]]:
        if not self._files:
            return []
        entries = self._folder.fs.ls(self._folder.path(""), detail=True)
        versions = ("ETag", "mtime", "LastModified", "created")  # as filesystems of fsspec call a file's version
        return sorted(
            [
                self._folder.name_of(entry["name"]),
                str(entry["size"]),
                str(next((entry[key] for key in versions if key in entry), "")),
            ]
            for entry in entries
        )

    def _picture_of(self, case: OpenedCase) -> Pixels | CaseError:
        named = [case.name, *([f"{int(case.name):0{COCOEE_DIGITS}d}"] if case.name.isdecimal() else [])]
        files = [file for name in dict.fromkeys(named) for file in self._files.get(name, [])]
        if not files:
            return CaseError(f"no {case.name}.png in {self._url}")
        if len(files) > 1:
            return CaseError(f"{self._url} holds {' and '.join(files)}; keep one")
        try:
            picture = on_backdrop(decode_picture(self._folder.read(files[0]), max_pixels=MAX_PIXELS))
        except PhotoError as error:
            return CaseError(f"{files[0]} in {self._url} cannot be read as a picture ({error})")
        return _fit(picture, case, files[0])


def open_pictures(kind: str, argument: str, options: MethodOptions) -> FinishedPictures:
    """Open `NAME:DIR`.

    Raises:
        InputError: it has another form.
    """
    name, colon, folder = argument.partition(":")
    if not (name.strip() and colon and folder) or folder.startswith("//"):
        raise InputError(f"{kind}={argument}: give {kind}=NAME:DIR, the name that the table calls them by and a folder")
    return FinishedPictures(name.strip(), folder)


def _fit(picture: Pixels, case: OpenedCase, file: str) -> Pixels | CaseError:
    (rows, columns), (height, width) = picture.shape[:2], case.source.shape[:2]
    if (rows, columns) == (height, width):
        return picture
    if not has_shape_of(columns, rows, width, height):
        return CaseError(f"{file} has {columns} x {rows} px, the source {width} x {height}: another aspect")
    return scale_to(picture, width, height)
