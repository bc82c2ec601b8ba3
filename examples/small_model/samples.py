"""Samples: the sample photos whose licences let them be shown -> sources, holes, exemplars, and edits of them.

The shipped model was not trained on them.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pbe.editing.config import refuse_bad_numbers
from pipeline.arrays import Hole, PixelBox, Pixels, Sides
from pipeline.draws.crops import Crop
from pipeline.encoders.names import SHIPPED
from pipeline.errors import InputError
from pipeline.photos.sample_photos import BOXES_TABLE, CLASSES_TABLE, installed_photo
from pipeline.pictures.outlines import outline_mask

if TYPE_CHECKING:
    from pbe.editing.editor import Editor, Task

PHOTOS = {
    "astronaut": "00a5740a07000001",
    "chelsea": "00c4e15ea0000002",
    "coffee": "00c0ffee00000003",
    "rocket": "000c4e7000000004",
    "china": "00c41a0000000006",
    "flower": "00f10be400000007",
}
"""Public domain, CC0 and CC BY 2.0: the README names their authors."""
QUALITY = 88  # of JPEG
LEAST_PX, MOST_ASPECT = 80, 2.5  # of an exemplar: its shorter side, and how many times longer the other may be


@dataclass(frozen=True, kw_only=True)
class PaintingFlags:
    """How a command paints its edits."""

    model: str = SHIPPED
    """A training's folder or an exported model, with its encoders; `shipped`: the small model of this package."""
    guidance: float = 3.0
    """Guidance scale."""
    steps: int = 25
    """Denoising steps (DDIM)."""

    def __post_init__(self) -> None:
        """Refuse numbers of another kind or out of range.

        Raises:
            InputError: naming the flag, the value and what is allowed.
        """
        refuse_bad_numbers(guidance=self.guidance, steps=self.steps, n=1, seed=0)

    def __str__(self) -> str:
        """Say it under a figure."""
        return f"guidance {self.guidance:g}, {self.steps} steps of DDIM"


@dataclass(frozen=True)
class Edit:
    """One edit to make.

    Args:
        source: [h, w, 3] uint8 sRGB.
        mask: [h, w] bool, True = repaint.
        exemplar: [eh, ew, 3] uint8 sRGB.
        of: what the exemplar shows, and of which photo.
    """

    source: Pixels
    mask: Hole
    exemplar: Pixels
    of: str
    seed: int


@dataclass(frozen=True)
class Boxed:
    """An annotated object of a sample photo; its sides in 0..1 of the photo."""

    photo: str
    label: str
    sides: Sides


def read_photo(name: str) -> Pixels:
    """Read a sample photo by its name in PHOTOS: [h, w, 3] uint8 sRGB."""
    from pbe.editing.inputs import read_picture

    return read_picture(installed_photo(PHOTOS[name]), name)


def read_boxes() -> list[Boxed]:
    """Read the annotated objects of PHOTOS, in the order of their table."""
    tables = files("pipeline.photos").joinpath("sample_photos")
    rows = csv.DictReader(tables.joinpath(CLASSES_TABLE).read_text().splitlines())
    labels = {row["LabelName"]: row["DisplayName"] for row in rows}
    names = {image: name for name, image in PHOTOS.items()}
    return [
        Boxed(
            names[row["ImageID"]],
            labels[row["LabelName"]],
            (float(row["XMin"]), float(row["YMin"]), float(row["XMax"]), float(row["YMax"])),
        )
        for row in csv.DictReader(tables.joinpath(BOXES_TABLE).read_text().splitlines())
        if row["ImageID"] in names
    ]


def shows_enough(exemplar: Pixels) -> bool:
    """Whether an object is large and broad enough for an exemplar."""
    least, most = sorted(exemplar.shape[:2])
    return bool(least >= LEAST_PX and most <= MOST_ASPECT * least)


def cut_object(photo: Pixels, sides: Sides) -> Pixels:
    """Cut a box out of a photo."""
    left, top, right, bottom = box_px(sides, photo.shape[1], photo.shape[0])
    return photo[top:bottom, left:right]


def box_px(sides: Sides, width: int, height: int) -> PixelBox:
    """Turn sides in 0..1 into px; right and bottom are exclusive, and a box has one pixel at least."""
    left, top = min(int(sides[0] * width), width - 1), min(int(sides[1] * height), height - 1)
    return left, top, max(round(sides[2] * width), left + 1), max(round(sides[3] * height), top + 1)


def hole_of(sides: Sides, side: int) -> Hole:
    """Draw a box as the hole of a square picture: [side, side] bool."""
    left, top, right, bottom = box_px(sides, side, side)
    hole = np.zeros((side, side), bool)
    hole[top:bottom, left:right] = True
    return hole


def open_model(model: str) -> "Editor":
    """Open the model to edit with, in full precision."""
    from pbe.editing.editor import load_editor

    return load_editor(model)


def paint_edits(editor: "Editor", edits: Sequence[Edit], how: PaintingFlags) -> tuple[list[Pixels], list["Task"]]:
    """Make edits as `pbe.edit` makes them, by DDIM; the pictures have their sources' sizes.

    Returns:
        The pictures, and what the model saw of each.

    Raises:
        InputError: a picture came out not finite.
    """
    from pbe.editing.editor import paint, prepare
    from pbe.model.finite import NotFiniteError

    tasks = [prepare(editor, edit.source, edit.mask, edit.exemplar, seeds=[edit.seed]) for edit in edits]
    pictures = []
    for made in paint(editor, tasks, guidance=how.guidance, steps=how.steps, scheduler="ddim", how="hole"):
        if isinstance(made, NotFiniteError):
            raise InputError(f"the model cannot be used: {made}")
        pictures.append(made[0].pixels)
    return pictures, tasks


def outline(edit: Edit) -> Pixels:
    """Draw the hole's outline into an edit's source."""
    height, width = edit.mask.shape
    return outline_mask(edit.source, edit.mask, Crop((0, 0, width, height), "crop"))


def save_figure(path: Path, figure: Pixels) -> None:
    """Write a figure, small enough for a repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(figure).save(path, quality=QUALITY)
