"""Editing: a part -> its pictures, and the record that says so, written last. Imports no torch."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from PIL import Image, UnidentifiedImageError

from pbe.editing.inputs import read_picture
from pbe.evaluation.bench.cases import OpenedCase, open_case
from pbe.evaluation.methods.attempts import edit_cases
from pbe.evaluation.methods.protocol import CaseError
from pbe.evaluation.metrics.feature_cache import key_of
from pbe.evaluation.running.comparison import Comparison, Part
from pbe.evaluation.running.records import PartRecord
from pipeline.arrays import Pixels
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from schemas.scores import picture_path

NO_GUIDANCE = 1.0


@dataclass(frozen=True)
class MadePart:
    """A part whose pictures are there.

    Args:
        cases: opened, by name; without those that could not be.
        pictures: by case, by variant: [h, w, 3] uint8 sRGB.
    """

    part: Part
    record: PartRecord
    cases: Mapping[str, OpenedCase]
    pictures: Mapping[str, Mapping[str, Pixels]]


def make_pictures(comparison: Comparison, part: Part, *, fault: str, log: Callable[[str], object]) -> MadePart:
    """Edit the cases of a part. A case that cannot be opened or edited is recorded as failed, with the reason.

    Args:
        fault: why the method cannot edit any; empty: it may.
        log: called with the traceback of what a method raised.
    """
    method = comparison.methods[part.method]
    cases, failed = _open_cases(part)
    opened = list(cases.values())
    attempts = [CaseError(fault)] * len(opened) if fault else edit_cases(method, opened) if opened else []
    pictures: dict[str, Mapping[str, Pixels]] = {}
    for name, attempt in zip(cases, attempts, strict=True):
        if isinstance(attempt, CaseError):
            failed[name] = str(attempt)
            if attempt.log:
                log(f"{method.name}, case {name}:\n{attempt.log}")
            continue
        pictures[name] = attempt
        for variant, picture in attempt.items():
            comparison.out.write(picture_path(part.rows[variant], name), _png(picture))
    digests = {
        name: {variant: key_of(picture).hex() for variant, picture in variants.items()}
        for name, variants in pictures.items()
    }
    record = PartRecord(comparison.settings_of(part), digests, failed)
    comparison.out.write(part.record, record.to_json())
    return MadePart(part, record, cases, pictures)


def read_pictures(out: Folder, part: Part, record: PartRecord) -> MadePart:
    """Read the pictures of a part that was made before.

    Raises:
        InputError: a picture is not the one that was made, or a case cannot be opened any more.
    """
    cases, unopened = _open_cases(part)
    if gone := [name for name in record.pictures if name in unopened]:
        raise InputError(f"case {gone[0]}: {unopened[gone[0]]}; it could be opened when it was edited")
    pictures = {
        name: {variant: read_made(out, picture_path(part.rows[variant], name), key) for variant, key in made.items()}
        for name, made in record.pictures.items()
    }
    return MadePart(part, record, cases, pictures)


def read_made(out: Folder, name: str, key: str) -> Pixels:
    """Read a picture that was made: [h, w, 3] uint8 sRGB.

    Raises:
        InputError: it cannot be read, or is not the one that was made.
    """
    place = f"{out.url}/{name}"
    try:
        picture = read_picture(Image.open(io.BytesIO(out.read(name))), place)
    except (OSError, InputError) as error:
        why = "it is no picture" if isinstance(error, UnidentifiedImageError) else error
        raise InputError(f"{place}: cannot be read ({why}); remove it, and run the same command again") from error
    if key_of(picture).hex() != key:
        raise InputError(f"{place}: is not the picture that was made; remove it, and run the same command again")
    return picture


def _open_cases(part: Part) -> tuple[dict[str, OpenedCase], dict[str, str]]:
    """Open the cases of a part: those that can be, and why others cannot, by name."""
    opened, failed = {}, {}
    for case in part.cases:
        try:
            opened[case.name] = replace(open_case(case), guidance=part.guidance or NO_GUIDANCE)
        except InputError as error:
            failed[case.name] = str(error)
    return opened, failed


def _png(picture: Pixels) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", compress_level=3)
    return content.getvalue()
