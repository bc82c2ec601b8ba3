"""Contact sheet: the finished cases of a table -> contact-sheet.jpg: source with hole, exemplar and result, a row each.

No case can have a file of this name: pictures of tables are PNGs.
"""

import io
from collections.abc import Callable, Sequence

from PIL import Image

from pbe.editing.case import Case
from pbe.editing.figure import cut_to, shrink
from pbe.editing.inputs import read_case, read_picture
from pbe.editing.outputs import CONTACT_SHEET, JPEG_QUALITY, Outputs
from pipeline.arrays import Hole, Pixels
from pipeline.decoding.colour import on_backdrop
from pipeline.draws.crops import Crop
from pipeline.errors import InputError
from pipeline.pictures.outlines import outline_mask
from pipeline.pictures.tiles import draw_tiles
from schemas.pairs import Repaint

MOST_ROWS = 40
MOST_NOTE = 80  # characters
TILE_PX = 440  # along the longest side, twice what is shown


def write_contact_sheet(
    outputs: Outputs, cases: Sequence[Case], *, crop_of: Callable[[Hole], Crop], repaint: Repaint, note: str
) -> str:
    """Draw the finished cases of a table, evenly chosen where there are more than MOST_ROWS.

    Args:
        cases: in the order of the table.
        crop_of: chooses the part of a source that is shown, by its mask: what the model saw.
        repaint: what of a mask is repainted.
        note: written below: model, steps.

    Returns:
        The name of the file.
    """
    chosen = [cases[place * len(cases) // MOST_ROWS] for place in range(MOST_ROWS)]
    shown = chosen if len(cases) > MOST_ROWS else cases
    rows, labels = zip(*(_row(outputs, case, crop_of, repaint) for case in shown), strict=True)
    titles = ["source and mask", "exemplar", "result"]
    counted = f"{len(shown)} of {len(cases):,} cases" if len(shown) < len(cases) else f"{len(cases)} cases"
    figure = draw_tiles(rows, titles=titles, labels=labels, note=f"{counted}; {_fit(note)}")
    content = io.BytesIO()
    Image.fromarray(figure).save(content, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    outputs.write_file(CONTACT_SHEET, content.getvalue())
    return CONTACT_SHEET


def _row(
    outputs: Outputs, case: Case, crop_of: Callable[[Hole], Crop], repaint: Repaint
) -> tuple[list[Pixels | None], list[str]]:
    """Read the pictures of a case, cut to what the model saw, and their labels; what cannot be read leaves a gap."""
    first = f"guidance {case.guidance[0]:g}, seed {case.seeds[0]}: 1 of {case.pictures}" if case.pictures > 1 else ""
    pictures: list[Pixels | None] = [None, None, None]
    try:
        made = case.file(case.guidance[0], case.seeds[0], outputs.suffix)
        pictures[2] = result = read_picture(outputs.place(made), "result")
        given = read_case(case, repaint=repaint)
        crop = crop_of(given.mask)
        outlined = outline_mask(on_backdrop(given.source), given.mask, crop)
        pictures = [cut_to(outlined, crop), given.exemplar, cut_to(result, crop)]
        gone = ""
    except InputError as error:
        gone = f" ({str(error).partition(' ')[0]} gone)"
    shown = [None if pixels is None else shrink(pixels, TILE_PX) for pixels in pictures]
    return shown, [
        f"{case.name}{gone}",
        "",
        first,
    ]


def _fit(note: str) -> str:
    """Cut the beginning of a note that is too long for the figure: it is a path."""
    return note if len(note) <= MOST_NOTE else f"...{note[-MOST_NOTE:]}"
