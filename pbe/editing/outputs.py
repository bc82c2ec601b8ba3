"""Outputs: pictures and figures -> complete files where --out says."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from pbe.editing.case import Case
from pbe.editing.config import EditConfig
from pipeline.arrays import Hole, Pixels
from pipeline.decoding.carried import Carried
from pipeline.decoding.colour import Planes, on_backdrop
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.names import normal
from pipeline.storage.retries import with_retries
from pipeline.storage.urls import absolute, absolute_output, is_local
from pipeline.storage.whole_files import write_aside
from pipeline.storage.writable import refuse_unwritable

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MAX_SIDES = {"JPEG": 65_500, "WEBP": 16_383}
JPEG_QUALITY = 95
CONTACT_SHEET = "contact-sheet.jpg"  # of a table, whose own pictures are PNGs
PROBE = ".pbe-edit-may-write"
MOST_NAME_BYTES = 200  # of a stem: most disks allow 255 of a name, and what is added takes some
FOLDERS_STEM, FOLDERS_FIGURE, FOLDERS_SUFFIX = "edited", "pictures", ".png"  # where --out is a folder


@dataclass(frozen=True)
class Outputs:
    """Where pictures go."""

    folder: Folder
    stem: str
    """Of the one case that flags describe."""
    suffix: str
    figure: str = ""
    """Stem of the figure of its pictures. Empty: as the case."""
    exact: bool = False
    """Pixels outside the mask are kept bit for bit: no lossy format."""

    def write(self, name: str, pixels: Pixels) -> None:
        """Write pixels [h, w, 3] uint8 sRGB, complete or not at all."""
        self.write_picture(name, Planes(pixels), Carried())

    def write_picture(self, name: str, picture: Planes, carried: Carried) -> None:
        """Write a picture with what it carries, complete or not at all; as JPEG on white."""
        flat = on_backdrop(replace(picture, space=b"")) if self.kind == "JPEG" else picture.pixels
        alpha = None if self.kind == "JPEG" else picture.alpha
        content = io.BytesIO()
        image = Image.fromarray(flat if alpha is None else np.dstack([flat, alpha]))
        image.save(content, self.kind, **self._options(), **carried.options(self.kind))
        self.write_file(name, content.getvalue())

    @property
    def kind(self) -> str:
        """Of pictures: PNG, JPEG or WEBP."""
        return FORMATS[self.suffix]

    def refuse_large(self, mask: Hole) -> None:
        """Refuse a source whose pictures are too large for their format.

        Args:
            mask: of the source's size.

        Raises:
            InputError: naming the sides.
        """
        most, (height, width) = MAX_SIDES.get(self.kind), mask.shape
        if most and max(width, height) > most:
            raise InputError(
                f"--out {self.stem}{self.suffix}: {self.kind} holds sides up to {most} px, the source has {width} x "
                f"{height}; give .png"
            )

    def files(self, case: Case) -> list[str]:
        """Name all files of a case: its pictures, the figure of several, and of a table's case the record."""
        names = [case.file(scale, seed, self.suffix) for scale in case.guidance for seed in case.seeds]
        figure = [self.figure_of(case)] if case.pictures > 1 else []
        return [*names, *figure, *([record_name(case)] if case.table else [])]

    def figure_of(self, case: Case) -> str:
        """Name the file to look at: the figure of several pictures, or the only one."""
        stem = self.figure if case.pictures > 1 and self.figure else case.name
        return f"{stem}{self.suffix}"

    def place(self, name: str) -> str:
        """Return a file's path or URL."""
        return f"{self.folder.url.rstrip('/')}/{name}"

    def write_file(self, name: str, content: bytes) -> None:
        """Write a file, complete or not at all."""
        target = self.folder.path(name)
        if self.folder.local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            write_aside(Path(target), content, writer=str(os.getpid()))
        else:
            with_retries(lambda: self.folder.fs.pipe_file(target, content))

    def try_writing(self) -> None:
        """Write an empty file where only writing shows whether one may, on storage that is remote, and remove it.

        Raises:
            InputError: it cannot be written.
        """
        if self.folder.local:
            return
        target = self.folder.path(PROBE)
        try:
            with_retries(lambda: self.folder.fs.pipe_file(target, b""))
        except (OSError, ValueError, NotImplementedError) as error:
            raise InputError(
                f"--out {self.folder.url}: cannot be written to ({type(error).__name__}: {error}); check the address "
                "and the credentials"
            ) from error
        self.folder.delete(PROBE)

    def _options(self) -> dict[str, Any]:
        if self.kind == "PNG":
            return {"compress_level": 4}
        if self.kind == "WEBP" and self.exact:
            return {"lossless": True, "exact": True}  # also where nothing shows
        return {"quality": JPEG_QUALITY, **({"subsampling": 0} if self.kind == "JPEG" else {})}


def find_outputs(config: EditConfig) -> Outputs:
    """Understand --out.

    Raises:
        InputError: it is a picture where a folder is needed or the other way round, a kind of picture that is not
            written here, or a place that cannot be written to.
    """
    url = absolute_output("--out", config.out)
    name = PurePosixPath(url).name
    suffix = PurePosixPath(url).suffix.lower()
    if config.cases or not suffix or (suffix not in FORMATS and _names_folder(config.out, url)):
        if suffix in FORMATS:
            raise InputError(f"--out {config.out}: is a picture's name; with --cases give a folder")
        outputs = Outputs(Folder(url), FOLDERS_STEM, FOLDERS_SUFFIX, "" if config.cases else FOLDERS_FIGURE)
    elif suffix not in FORMATS:
        raise InputError(f"--out {config.out}: ends in {suffix}; give {', '.join(FORMATS)}, or a folder")
    else:
        exact = config.how == "paste"
        if exact and FORMATS[suffix] == "JPEG":
            raise InputError(f"--out {config.out}: JPEG changes the pixels that --paste-back keeps; give .png or .webp")
        outputs = Outputs(Folder(url[: -len(name)].rstrip("/") or "/"), name[: -len(suffix)], suffix, exact=exact)
    _refuse_no_place(config, outputs)
    return outputs


def _names_folder(out: str, url: str) -> bool:
    """Whether --out names a folder in spite of a dot in its name."""
    return out.endswith("/") or (is_local(url) and Path(url).is_dir())


def find_overlaps(outputs: Outputs, cases: Sequence[Case]) -> list[str]:
    """List the outputs that would replace an input or each other, also on disks that ignore case in names."""
    owners: dict[str, int] = {}
    inputs = {_identity(path) for case in cases for path in _files_of(case)}
    faults: dict[str, None] = {}
    for number, case in enumerate(cases):
        for name in outputs.files(case):
            owner = owners.setdefault(name.casefold(), number)
            if owner != number:
                both = f"{cases[owner].name} and {case.name}"
                faults[f"--cases {case.table}: cases {both} would both write {name}; fill a column name"] = None
                break
            if _identity(outputs.place(name)) in inputs:
                faults[f"--out: {outputs.place(name)} would replace an input; give another place or name"] = None
    sheet = outputs.place(CONTACT_SHEET)
    if cases and cases[0].table and _identity(sheet) in inputs:
        faults[f"--out: {sheet} would replace an input; give another place"] = None
    return list(faults)


def _files_of(case: Case) -> list[str]:
    """List the files of a case that an output must not replace."""
    return [path for path in (*case.inputs.values(), *case.evaluated.values(), case.table) if path]


def _identity(place: str) -> tuple[int, int] | str:
    """Tell a file by what it is, not by how its path is written; one that is not there, or is remote, by its path."""
    try:
        path, local = absolute(place), is_local(place)
    except InputError:  # no place at all, in a column that an edit passes over
        return place
    if not local:
        return normal(path)
    try:
        status = Path(path).stat()
    except OSError:
        return normal(str(Path(path).resolve()))
    return status.st_dev, status.st_ino


def _refuse_no_place(config: EditConfig, outputs: Outputs) -> None:
    """Refuse, before anything is made, a name that is too long, or a local place where nothing can be written."""
    if len(outputs.stem.encode()) > MOST_NAME_BYTES:
        raise InputError(f"--out {config.out}: its name has more than {MOST_NAME_BYTES} bytes; give a shorter one")
    if not outputs.folder.local:
        return
    folder = Path(outputs.folder.path(""))
    refuse_unwritable(f"--out {config.out}", folder)
    if not config.cases and (folder / f"{outputs.stem}{outputs.suffix}").is_dir():
        raise InputError(f"--out {config.out}: is a folder; give a picture's name in it")


def record_name(case: Case) -> str:
    """Name the record of a finished case."""
    return f"{case.name}.json"
