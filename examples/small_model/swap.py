"""Swap: a model, one source, one hole and eight exemplars -> eight edits, and the same for a reader who must not know.

    python -m examples.small_model.swap --out DIR [--flags]

Six exemplars are objects of the sample photos, two are generated. OUT/swap.jpg shows each above its edit. In
OUT/blind.jpg the edits are shuffled and numbered; OUT/key.json says which exemplar each belongs to. Whoever assigns
them sees blind.jpg alone; by chance one of eight is right.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

import tyro

from examples.small_model.samples import (
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
)
from examples.small_model.scenes import draw_scene
from pbe.editing.config import refuse_bad_numbers
from pipeline.arrays import Pixels, Sides
from pipeline.command import guard
from pipeline.decoding.resize import cut
from pipeline.pictures.tiles import draw_tiles
from pipeline.rng import rng_for
from pipeline.storage.writable import local_output

SIDE = 256  # px of the source
SOURCE, HOLE = "coffee", (0.27, 0.22, 0.73, 0.68)  # sides in 0..1 of the square
SHOWN = (
    ("astronaut", "Person"),
    ("astronaut", "Helmet"),
    ("chelsea", "Cat"),
    ("china", "Building"),
    ("china", "Tree"),
    ("flower", "Flower"),
)
"""The first box of that class in that photo."""
SCENES = 2  # generated exemplars
FIGURE, BLIND, KEY = "swap.jpg", "blind.jpg", "key.json"


@dataclass(frozen=True, kw_only=True)
class SwapConfig(PaintingFlags):
    """Paint eight exemplars into the same hole, with the same noise, for a reader to tell which is which."""

    out: str
    """The folder for swap.jpg, blind.jpg and key.json."""
    seed: int = 0
    """Of the noise, the generated exemplars and the shuffling."""

    def __post_init__(self) -> None:
        """Refuse numbers likewise."""
        refuse_bad_numbers(guidance=self.guidance, steps=self.steps, n=1, seed=self.seed)


def main(arguments: list[str]) -> int:
    """Swap as the command line says; return the exit code."""
    return guard(
        lambda: swap(tyro.cli(SwapConfig, args=arguments, prog="python -m examples.small_model.swap")),
        go_on="run the same command again",
    )


def swap(config: SwapConfig) -> int:
    """Paint, and write both figures and the key; return the exit code.

    Raises:
        InputError: the model cannot be opened, or --out not be written to.
    """
    out = local_output("--out", config.out)
    edits = make_edits(config.seed)
    pictures, _ = paint_edits(open_model(config.model), edits, config)
    note = f"{config}, seed {config.seed}"
    shuffled, key = shuffle(pictures, config.seed)
    save_figure(out / FIGURE, draw_swap(edits, pictures, [edit.of for edit in edits], note=note))
    save_figure(out / BLIND, draw_swap(edits, shuffled, list(key), note="which number belongs to which letter?"))
    (out / KEY).write_text(json.dumps(key, indent=1) + "\n")
    print(f"{out / FIGURE}; for the reader: {out / BLIND}; not for the reader: {out / KEY}")
    return 0


def make_edits(seed: int) -> list[Edit]:
    """Make the eight edits: one source, one hole, one noise."""
    photo = read_photo(SOURCE)
    height, width = photo.shape[:2]
    side, left = min(height, width), (width - min(height, width)) // 2
    source = cut(photo, (left, 0, left + side, side), SIDE)
    return [Edit(source, hole_of(HOLE, SIDE), exemplar, of, seed) for of, exemplar in _exemplars(seed)]


def _exemplars(seed: int) -> list[tuple[str, Pixels]]:
    boxes: dict[tuple[str, str], Sides] = {}
    for each in read_boxes():
        boxes.setdefault((each.photo, each.label), each.sides)
    of_photos = [
        (f"{name}: {label.lower()}", cut_object(read_photo(name), boxes[name, label])) for name, label in SHOWN
    ]
    scenes = [draw_scene(rng_for(seed, "swap", number), SIDE) for number in range(SCENES)]
    generated = [(f"generated: {shape} {n}", cut_object(scene, box)) for n, (scene, box, shape) in enumerate(scenes, 1)]
    return of_photos + generated


def shuffle(pictures: Sequence[Pixels], seed: int) -> tuple[list[Pixels], dict[str, str]]:
    """Shuffle pictures and number them; the key gives each number the letter of its exemplar."""
    order = rng_for(seed, "swap").permutation(len(pictures)).tolist()
    return [pictures[place] for place in order], {str(n): letter_of(place) for n, place in enumerate(order, 1)}


def letter_of(place: int) -> str:
    """Letter an exemplar."""
    return ascii_uppercase[place]


def draw_swap(edits: Sequence[Edit], pictures: Sequence[Pixels], captions: Sequence[str], *, note: str) -> Pixels:
    """Draw the source, the exemplars with their letters, and below them the pictures with their captions."""
    letters = [letter_of(place) for place in range(len(edits))]
    return draw_tiles(
        [[outline(edits[0]), *(edit.exemplar for edit in edits)], [None, *pictures]],
        titles=["source and hole", *letters],
        labels=[[""] * (1 + len(edits)), ["", *captions]],
        note=note,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
