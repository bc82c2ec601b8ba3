"""Edit cards: the edits of a folder -> what the page shows of each: inputs, mask, results by guidance and seed."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dashboards.edits import Edit, EditedPicture, EditInputs, read_inputs
from pbe.editing.inputs import read_picture
from pipeline.ahead import work_ahead
from pipeline.errors import InputError
from pipeline.pages.thumbnails import ShownPicture, mask_outline, show_picture

READERS = 4
INPUT_PX, RESULT_PX = 256, 256


@dataclass(frozen=True)
class EditCard:
    """An edit as the page shows it.

    Args:
        outline: the mask as an SVG path, in px of the shown source; empty: there is none.
        guidance: the columns; None: not known.
        rows: a seed (None: not known), and its pictures in the order of the columns; None where there is none.
        own_settings: those in which it differs from others, in words.
        problems: why source, mask or exemplar are not shown.
    """

    edit: Edit
    source: ShownPicture | None
    outline: str
    exemplar: ShownPicture | None
    guidance: tuple[float | None, ...]
    rows: tuple[tuple[int | None, tuple[ShownPicture | None, ...]], ...]
    own_settings: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def failed(self) -> int:
        """How many of its pictures cannot be shown."""
        return sum(bool(picture and picture.problem) for _, row in self.rows for picture in row)


def make_edit_cards(edits: Sequence[Edit]) -> Iterator[EditCard]:
    """Read edits on threads and make their cards, in order."""
    common = common_settings(edits)
    with ThreadPoolExecutor(READERS) as pool:
        yield from work_ahead(pool, lambda edit: make_edit_card(edit, common), edits, ahead=2 * READERS)


def make_edit_card(edit: Edit, common: Mapping[str, Any]) -> EditCard:
    """Make the card of one edit.

    Args:
        common: settings that need not be told, since all edits of the page have them.
    """
    inputs = read_inputs(edit)
    source, exemplar = (
        None if pixels is None else show_picture(pixels, INPUT_PX) for pixels in (inputs.source, inputs.exemplar)
    )
    guidance = tuple(dict.fromkeys(picture.guidance for picture in edit.pictures))
    seeds = dict.fromkeys(picture.seed for picture in edit.pictures)
    by_place = {(picture.seed, picture.guidance): picture for picture in edit.pictures}
    return EditCard(
        edit=edit,
        source=source,
        outline=mask_outline(inputs.mask, source.width, source.height) if inputs.mask is not None and source else "",
        exemplar=exemplar,
        guidance=guidance,
        rows=tuple((seed, tuple(_read(edit, by_place.get((seed, scale))) for scale in guidance)) for seed in seeds),
        own_settings=tuple(f"{name} {value}" for name, value in settings_of(edit).items() if name not in common),
        problems=_problems(inputs),
    )


def settings_of(edit: Edit) -> dict[str, Any]:
    """List what an edit's pictures were made with, the weights as a few words."""
    if edit.record is None:
        return {}
    return {**edit.record.settings, "weights": str(edit.checkpoint)}


def common_settings(edits: Sequence[Edit]) -> dict[str, Any]:
    """List the settings that all edits have in common; empty where of one nothing is known."""
    first, *others = [settings_of(edit) for edit in edits] or [{}]
    return {
        name: value for name, value in first.items() if all(name in more and more[name] == value for more in others)
    }


def _read(edit: Edit, picture: EditedPicture | None) -> ShownPicture | None:
    """Read a picture that the model made."""
    if picture is None:
        return None
    try:
        return show_picture(read_picture(f"{edit.folder.url.rstrip('/')}/{picture.name}", "picture"), RESULT_PX)
    except InputError as error:
        return ShownPicture(problem=str(error))


def _problems(inputs: EditInputs) -> tuple[str, ...]:
    """Say why inputs are not shown, each reason once."""
    reasons: dict[str, list[str]] = {}
    for what, reason in inputs.absent.items():
        reasons.setdefault(reason, []).append(what)
    return tuple(f"{', '.join(what)}: {reason}" for reason, what in reasons.items())
