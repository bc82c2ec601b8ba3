"""Edits: a model and the sample photos -> a page of uncurated edits, and how near each is to what was trained on.

    python -m examples.small_model.edits --trained-on DATASET --out DIR [--flags]

Photos, holes, exemplars and noise are drawn from a fixed seed; none is chosen by its result. What was painted is
looked for among all exemplars of the training, by EfficientNet-Lite2, as is, for comparison, what the photo really
shows in the hole, which the training never held. OUT/nearest.jpg shows pictures of the training: it stays out of the
documentation.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import tyro

from examples.small_model.nearest import Nearest, find_nearest, reduce_hole, reduce_picture
from examples.small_model.photos import random_box
from examples.small_model.samples import (
    PHOTOS,
    Boxed,
    Edit,
    PaintingFlags,
    cut_object,
    hole_of,
    open_model,
    outline,
    paint_edits,
    read_boxes,
    read_photo,
    save_figure,
    shows_enough,
)
from pbe.editing.figure import shrink
from pbe.evaluation.bench.split_rows import read_split
from pbe.evaluation.metrics.encoders.specs import check_encoder
from pbe.evaluation.metrics.feature_cache import CachedEncoder
from pbe.evaluation.metrics.intervals import mean_of
from pbe.evaluation.metrics.measured import Measured
from pbe.evaluation.metrics.similarity import cosines
from pipeline.arrays import Pixels
from pipeline.command import guard
from pipeline.decoding.resize import cut
from pipeline.errors import InputError
from pipeline.pictures.tiles import draw_tiles
from pipeline.rng import rng_for
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute
from pipeline.storage.writable import local_output

EDITS, SIDE = 24, 256  # pictures; px of a source's side
PAGE_PX = 1400  # of the page's longer side
ACROSS = 3  # edits in a line of the page
PAGE, TABLE, NEAREST, FEATURES = "edits.jpg", "edits.md", "nearest.jpg", "features"
ENCODER = "efficientnet-lite2"
HEADINGS = (
    "edit",
    "exemplar",
    "its similarity",
    "nearest training exemplar",
    "its similarity",
    "nearest to what the photo shows",
    "its similarity",
)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class EditsConfig(PaintingFlags):
    """Edit the sample photos with fixed seeds, and find the nearest training picture of each edit."""

    trained_on: str
    """The dataset that the model was trained on."""
    out: str
    """The folder for edits.jpg and edits.md, nearest.jpg, and features, which are kept for the next run."""


def main(arguments: list[str]) -> int:
    """Edit as the command line says; return the exit code."""
    return guard(
        lambda: make_page(tyro.cli(EditsConfig, args=arguments, prog="python -m examples.small_model.edits")),
        go_on="run the same command again: features of the training's pictures are kept",
    )


def make_page(config: EditsConfig) -> int:
    """Edit, search, write the page; return the exit code.

    Raises:
        InputError: model or dataset cannot be opened, or --out not be written to.
    """
    out = local_output("--out", config.out)
    check_encoder(ENCODER)
    read_split(absolute(config.trained_on), "train")
    from pbe.evaluation.metrics.encoders.opening import open_encoder

    edits, editor = draw_edits(), open_model(config.model)
    pictures, tasks = paint_edits(editor, edits, config)
    size = editor.resolution
    painted = [reduce_hole(made, task.mask, task.crop, size) for made, task in zip(pictures, tasks, strict=True)]
    true = [reduce_hole(edit.source, task.mask, task.crop, size) for edit, task in zip(edits, tasks, strict=True)]
    with CachedEncoder(open_encoder(ENCODER), Folder(str(out / FEATURES))) as encoder:
        own = cosines(encoder.encode(painted), encoder.encode([reduce_picture(edit.exemplar) for edit in edits]))
        found = find_nearest(config.trained_on, [*painted, *true], encoder)
    nearest, control = found[:EDITS], found[EDITS:]
    note = f"{config}, seeds 0 to {EDITS - 1}"
    save_figure(out / PAGE, shrink(draw_page(edits, pictures, note=note), PAGE_PX))
    save_figure(out / NEAREST, draw_nearest(painted, nearest, true, control))
    table = table_of(edits, list(map(_value_of, own)), nearest, control)
    (out / TABLE).write_text(table)
    print(table)
    return 0


def _value_of(likeness: Measured) -> float:
    if likeness.value is None:
        raise InputError(f"{ENCODER}: {likeness.reason}")
    return likeness.value


def draw_edits() -> list[Edit]:
    """Draw what is edited: the photos in turn, a random square and hole of each, an object of another."""
    photos = {name: read_photo(name) for name in PHOTOS}
    objects = [each for each in read_boxes() if shows_enough(cut_object(photos[each.photo], each.sides))]
    return [_draw_edit(number, photos, objects) for number in range(EDITS)]


def _draw_edit(number: int, photos: Mapping[str, Pixels], objects: Sequence[Boxed]) -> Edit:
    rng = rng_for(0, "edits of the sample photos", number)
    name = list(photos)[number % len(photos)]
    height, width = photos[name].shape[:2]
    side = min(height, width)
    left, top = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
    source = cut(photos[name], (left, top, left + side, top + side), SIDE)
    others = [each for each in objects if each.photo != name]
    shown = others[rng.integers(len(others))]
    exemplar = cut_object(photos[shown.photo], shown.sides)
    return Edit(source, hole_of(random_box(rng), SIDE), exemplar, f"{shown.photo}: {shown.label.lower()}", number)


def table_of(
    edits: Sequence[Edit], own: Sequence[float], nearest: Sequence[Nearest], control: Sequence[Nearest]
) -> str:
    """Write the table of the page: a line an edit, and the means with their intervals."""
    ahead = [each.similarity - other.similarity for each, other in zip(nearest, control, strict=True)]
    columns = [[each.similarity for each in nearest], [each.similarity for each in control], list(own), ahead]
    edit_mean, true_mean, exemplar_mean, ahead_mean = (_mean_text(column) for column in columns)
    lines = [
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
        *(
            f"| {number} | {edit.of} | {likeness:.3f} | {one.key} | {one.similarity:.3f} | {true.key} "
            f"| {true.similarity:.3f} |"
            for number, (edit, likeness, one, true) in enumerate(zip(edits, own, nearest, control, strict=True), 1)
        ),
        "",
        f"Means with 95 % intervals: edit and its exemplar {exemplar_mean}; edit and nearest training exemplar "
        f"{edit_mean}; what the photo shows and nearest training exemplar {true_mean}; edits - photos {ahead_mean}.",
    ]
    return "\n".join(lines) + "\n"


def _mean_text(values: Sequence[float]) -> str:
    mean = mean_of(values, seed=0)
    assert mean is not None and mean.low is not None and mean.high is not None  # of 24 values
    return f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]"


def draw_page(edits: Sequence[Edit], pictures: Sequence[Pixels], *, note: str) -> Pixels:
    """Draw source with hole, exemplar and result of every edit, ACROSS of them in a line."""
    tiles: list[Pixels | None] = []
    labels: list[str] = []
    for number, (edit, picture) in enumerate(zip(edits, pictures, strict=True), 1):
        tiles += [outline(edit), edit.exemplar, picture]
        labels += [str(number), "", ""]
    return draw_tiles(
        _lines(tiles), titles=["source and hole", "exemplar", "edit"] * ACROSS, labels=_lines(labels), note=note
    )


def draw_nearest(
    painted: Sequence[Pixels], nearest: Sequence[Nearest], true: Sequence[Pixels], control: Sequence[Nearest]
) -> Pixels:
    """Draw what was painted and what the photo shows, each beside its nearest training exemplar, as compared."""
    return draw_tiles(
        [
            [made, one.picture, real, other.picture]
            for made, one, real, other in zip(painted, nearest, true, control, strict=True)
        ],
        titles=["painted", "nearest", "in the photo", "nearest"],
        labels=[
            [str(number), f"{one.similarity:.3f}", "", f"{other.similarity:.3f}"]
            for number, (one, other) in enumerate(zip(nearest, control, strict=True), 1)
        ],
        note="pictures of the training: not for the documentation",
    )


def _lines(tiles: Sequence[T]) -> list[list[T]]:
    """Break tiles into lines of ACROSS edits, three tiles each."""
    return [list(tiles[first : first + 3 * ACROSS]) for first in range(0, len(tiles), 3 * ACROSS)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
