"""Edits: a folder that `pbe.edit` wrote -> its cases, their pictures by guidance, seed and checkpoint, their inputs."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pbe.editing.case import Case
from pbe.editing.finished import Finished, read_finished
from pbe.editing.inputs import box_mask, read_mask, read_picture
from pbe.editing.outputs import FOLDERS_FIGURE, FOLDERS_STEM, FOLDERS_SUFFIX, FORMATS, Outputs
from pbe.editing.records import digest_input
from pipeline.arrays import Hole, Pixels
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute, is_local

RECORD_SUFFIX = ".json"
_SUFFIXES = "|".join(suffix.removeprefix(".") for suffix in FORMATS)
_PICTURE = re.compile(rf"(?P<stem>.+)-g(?P<guidance>\d+(?:\.\d+)?)-s(?P<seed>\d{{1,10}})(?P<suffix>\.(?:{_SUFFIXES}))")


@dataclass(frozen=True)
class EditedPicture:
    """A picture that the model made; `name` is its file in the folder. None: nobody recorded it."""

    name: str
    guidance: float | None
    seed: int | None


@dataclass(frozen=True)
class Checkpoint:
    """The weights that made a picture.

    Args:
        step: of the training; None: not known, as of published weights.
        weights: raw, ema or unknown; empty: not known.
        digest: 16 hex digits of some tensors; empty: not known.
    """

    step: int | None = None
    weights: str = ""
    digest: str = ""

    def __str__(self) -> str:
        """Describe it in a few words, for a heading."""
        if self.step is not None:
            return f"step {self.step}" + (f" ({self.weights})" if self.weights else "")
        return f"weights {self.digest[:8]}" if self.digest else "weights not known"


@dataclass(frozen=True)
class Edit:
    """One case and its pictures, guidance scales in the order of the case, seeds within.

    Args:
        figure: the labelled figure of all pictures; empty: there is none.
        record: what the case was made from; None: made without --cases, or not finished.
    """

    folder: Folder
    name: str
    pictures: tuple[EditedPicture, ...]
    figure: str
    record: Finished | None

    @property
    def checkpoint(self) -> Checkpoint:
        """The weights that made its pictures."""
        if self.record is None:
            return Checkpoint()
        step, weights = self.record.lineage.get("step"), self.record.lineage.get("weights")
        digest = self.record.settings.get("weights")
        return Checkpoint(
            step if type(step) is int else None,
            weights if isinstance(weights, str) else "",
            digest if isinstance(digest, str) else "",
        )


@dataclass(frozen=True)
class Edits:
    """A folder of edits.

    Args:
        edits: by name.
        notes: what could not be shown, a line each.
    """

    folder: Folder
    edits: tuple[Edit, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class EditInputs:
    """What a case was made from, as far as it is still there and unchanged: [h, w, 3] uint8 RGB.

    Args:
        mask: [h, w] bool, True = repaint, in the source's size.
        absent: why a picture is None, by what it is: source, mask, exemplar.
    """

    source: Pixels | None
    mask: Hole | None
    exemplar: Pixels | None
    absent: Mapping[str, str]


def read_edits(url: str) -> Edits:
    """Read what a folder of edits holds; no picture is opened.

    Raises:
        InputError: there is no edit in it.
    """
    folder = Folder(absolute(url))
    names = folder.names("")
    outputs = Outputs(folder, FOLDERS_STEM, FOLDERS_SUFFIX)
    edits, notes, owned = [], [], set()
    for name in names:
        if not name.endswith(RECORD_SUFFIX):
            continue
        try:
            record = read_finished(folder.read(name), name)
        except (InputError, OSError) as error:
            notes.append(str(error))
            continue
        owned |= set(outputs.files(record.case))
        edits.append(_recorded_edit(outputs, record, set(names), notes))
    edits += _unrecorded_edits(folder, [name for name in names if name not in owned])
    if not edits:
        found = f"; {notes[0]}" if notes else ""
        raise InputError(f"{url}: holds no edits{found}; give a folder that `python -m pbe.edit --out` wrote")
    return Edits(folder, tuple(sorted(edits, key=lambda edit: edit.name)), tuple(notes))


def _recorded_edit(outputs: Outputs, record: Finished, there: set[str], notes: list[str]) -> Edit:
    """Find the pictures of a recorded case; those that are gone are noted."""
    case = record.case
    pictures = [
        EditedPicture(case.file(scale, seed, outputs.suffix), scale, seed)
        for scale in case.guidance
        for seed in case.seeds
    ]
    notes += [f"{picture.name}: is gone; make the case again" for picture in pictures if picture.name not in there]
    kept = tuple(picture for picture in pictures if picture.name in there)
    figure = outputs.figure_of(case) if case.pictures > 1 else ""
    return Edit(outputs.folder, case.name, kept, figure if figure in there else "", record)


def _unrecorded_edits(folder: Folder, names: list[str]) -> list[Edit]:
    """Find the pictures of edits without --cases, and of cases that are not finished, by their names alone."""
    found: dict[tuple[str, str], list[EditedPicture]] = {}
    for name in names:
        if match := _PICTURE.fullmatch(name):
            picture = EditedPicture(name, float(match["guidance"]), int(match["seed"]))
            found.setdefault((match["stem"], match["suffix"]), []).append(picture)
        elif name == FOLDERS_STEM + FOLDERS_SUFFIX:
            found.setdefault((FOLDERS_STEM, FOLDERS_SUFFIX), []).append(EditedPicture(name, None, None))
    edits = []
    for (stem, suffix), pictures in found.items():
        figure = f"{FOLDERS_FIGURE if stem == FOLDERS_STEM else stem}{suffix}"
        ordered = sorted(pictures, key=lambda picture: (picture.guidance or 0, picture.seed or 0))
        edits.append(Edit(folder, stem, tuple(ordered), figure if figure in names else "", None))
    return edits


def read_inputs(edit: Edit, *, table: str = "") -> EditInputs:
    """Read a case's source, mask and exemplar where they still are what its record says.

    Only files with the recorded digest are opened, and none that is not local: a record may come from anywhere.

    Args:
        table: the CSV of the cases, where it has moved since; only its folder matters.
    """
    if edit.record is None:
        reason = "nothing is recorded of it: made without --cases, or not finished"
        return EditInputs(None, None, None, dict.fromkeys(("source", "mask", "exemplar"), reason))
    case = replace(edit.record.case, table=table or _table(edit))
    absent: dict[str, str] = {}

    def read(what: str, reading: Callable[[str], Any]) -> Any:
        """Read one input, or note why not."""
        try:
            _refuse_changed(case, what, edit.record.digests.get(what, "") if edit.record else "")
            return reading(case.inputs[what])
        except InputError as error:
            absent[what] = str(error)
            return None

    source = read("source", lambda path: read_picture(path, "source"))
    exemplar = read("exemplar", lambda path: read_picture(path, "exemplar"))
    mask = None
    if source is None:
        absent["mask"] = "belongs to a source that is not there"
    elif case.mask:
        repaint = edit.record.settings.get("repaint", "white")
        mask = read("mask", lambda path: read_mask(path, source, repaint=repaint))
    else:
        try:
            mask = box_mask(case.box, source)
        except InputError as error:
            absent["mask"] = str(error)
    return EditInputs(source, mask, exemplar, absent)


def _table(edit: Edit) -> str:
    """Find the table's place by the record, which says it as seen from the folder of the edits."""
    recorded = edit.record.lineage.get("table") if edit.record else None
    if not isinstance(recorded, str) or not recorded:
        return ""
    if not edit.folder.local or "://" in recorded:
        return recorded
    return str(Path(edit.folder.path("")).resolve() / recorded)


def _refuse_changed(case: Case, what: str, digest: str) -> None:
    """Refuse an input that is elsewhere, gone, or another file than the one that was edited.

    Raises:
        InputError: which, and what to do.
    """
    path = case.inputs[what]
    if not is_local(path):
        raise InputError(f"{what} {path}: is not local; copy the inputs here, with their table")
    if not case.table and not Path(path).is_absolute():
        raise InputError(f"{what} {path}: is relative to a table that the record does not name; make the case again")
    if digest_input(path, what) != digest:
        raise InputError(f"{what} {path}: is not the file that was edited; make the case again")


BY: dict[str, Callable[[Edit, EditedPicture], Any]] = {
    "guidance": lambda _, picture: picture.guidance,
    "seed": lambda _, picture: picture.seed,
    "checkpoint": lambda edit, _: edit.checkpoint,
}
"""What pictures can be put together by."""


def grouped(edits: Iterable[Edit], by: str) -> dict[Any, list[tuple[Edit, EditedPicture]]]:
    """Put the pictures of some edits, of one folder or of several, together by a key of BY, which ascends.

    None, and checkpoints without a step, come last.
    """
    groups: dict[Any, list[tuple[Edit, EditedPicture]]] = {}
    for edit in edits:
        for picture in edit.pictures:
            groups.setdefault(BY[by](edit, picture), []).append((edit, picture))
    return {key: groups[key] for key in sorted(groups, key=_ascending)}


def _ascending(key: Any) -> tuple[bool, float, str]:
    number = key.step if isinstance(key, Checkpoint) else key
    return number is None, number or 0, str(key)
