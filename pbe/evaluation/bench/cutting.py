"""Cutting: a dataset -> OUT/bench: a table of cases, their pictures, and a note that says what they are."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np

from pbe.editing.outputs import Outputs
from pbe.evaluation.bench.cases import Bench, seed_of_case
from pbe.evaluation.bench.cut_choice import Chosen, Exemplar, choose_cases
from pbe.evaluation.bench.cut_note import NOTE, TABLE, CutNote, note_bytes, read_note
from pbe.evaluation.bench.cut_pictures import Cutter
from pbe.evaluation.bench.limits import refuse_bad_limit
from pbe.evaluation.bench.opening import open_bench
from pbe.evaluation.bench.split_rows import SplitRows, read_split
from pipeline.ahead import work_ahead
from pipeline.arrays import Pixels
from pipeline.errors import InputError, PhotoError
from pipeline.pairing.folder import NO_LABEL
from pipeline.pictures.cut_sources import Photos
from pipeline.recorded_inputs import find_inputs
from pipeline.shards.samples import Row
from pipeline.storage.folder import Folder
from pipeline.storage.redaction import redact
from pipeline.storage.urls import absolute, absolute_output
from pipeline.storage.writable import refuse_unwritable

BENCH_FOLDER = "bench"
HEADER = ["name", "source", "mask", "exemplar", "ground_truth", "label", "seed"]
FOLDERS = ("sources", "masks", "exemplars")
THREADS = 8

SEEN = "seen in training: the cases are of the train split"
RECONSTRUCTION = "reconstruction"


def cut_bench(
    dataset: str,
    out: str,
    *,
    split: str = "validation",
    exemplar: Exemplar = "other",
    images: Sequence[str] = (),
    anonymous: bool = False,
    limit: int = 0,
    seed: int = 0,
    say: Callable[[str], Any] = print,
    progress: Callable[[int], Any] = lambda cases: None,
) -> Bench:
    """Cut a bench from a finished dataset into `out`/bench, unless it is there; its table opens as the same bench.

    A case is a box of the split, as draw 0 has it. Its source is the ground truth, too.

    Args:
        exemplar: other: the exemplar of another photo's box of the same class, nearest in aspect ratio; own: that of
            the box itself, so that a method only has to reconstruct.
        images: folders and tars of photos, of a dataset without sources; empty: those it was made from.
        limit: take a seeded choice of that many cases; 0: all.
        progress: called with the number of cases that are written.

    Raises:
        InputError: the dataset has no such split, its photos are not there, no case is left, or `out` holds another
            bench.
    """
    refuse_bad_limit(limit)
    if exemplar not in get_args(Exemplar):
        raise InputError(f"--exemplar {exemplar}: give {' or '.join(get_args(Exemplar))}")
    place = Folder(f"{absolute_output('--out', out).rstrip('/')}/{BENCH_FOLDER}")
    if place.local:
        refuse_unwritable(f"--out {out}", Path(place.path("")))
    split_rows = read_split(absolute(dataset), split)
    request = {"dataset": split_rows.digest, "split": split, "exemplar": exemplar, "limit": limit, "seed": seed}
    if not _is_there(place, request):
        cutter = _open_cutter(split_rows, images=images, anonymous=anonymous)
        chosen = choose_cases(split_rows, exemplar=exemplar, limit=limit, seed=seed)
        say(f"cutting {len(chosen.names):,} cases from {dataset} into {place.url}")
        _cut(
            place, cutter, chosen, request, name=f"{PurePosixPath(absolute(dataset)).name} ({split})", progress=progress
        )
    return open_bench(f"{place.url}/{TABLE}", seed=seed)


def _cut(
    place: Folder,
    cutter: Cutter,
    chosen: Chosen,
    request: Mapping[str, Any],
    *,
    name: str,
    progress: Callable[[int], Any],
) -> None:
    """Write pictures, table and, last, the note that says that all is there.

    Raises:
        InputError: no case could be cut.
    """
    outputs, note = Outputs(place, "", ".png"), CutNote(request, name=name)
    outputs.write_file(NOTE, note_bytes(note))
    for folder in FOLDERS:
        place.remove(folder)
    lines, reconstructed, lost = _write_cases(outputs, cutter, chosen, seed=request["seed"], progress=progress)
    notes = (*chosen.notes, *lost)
    if not lines:
        raise InputError(f"{cutter.folder.url}: no case could be cut: {'; '.join(notes)}; give --images")
    outputs.write_file(TABLE, _as_csv([HEADER, *lines]))
    note = replace(
        note,
        finished=True,
        banners=tuple(_banners(request["split"], reconstructed, len(lines))),
        notes=notes,
        shares_exemplar=reconstructed > 0,
        subset_of=chosen.eligible if len(chosen.names) < chosen.eligible else 0,
    )
    outputs.write_file(NOTE, note_bytes(note))


def _is_there(place: Folder, request: Mapping[str, Any]) -> bool:
    """Whether this bench has been cut into the folder already.

    Raises:
        InputError: another one has, or the folder holds a table of somebody's.
    """
    note = read_note(place)
    if note is None and place.read_if_there(TABLE) is not None:
        raise InputError(f"{place.url}/{TABLE}: is there, without a {NOTE} that says what it is; give another --out")
    if note is None:
        return False
    if not note.finished:  # what was begun makes room, whatever it was
        return False
    there = note.request
    others = [f"{what} {there.get(what)} -> {value}" for what, value in request.items() if there.get(what) != value]
    if others:
        raise InputError(f"{place.url}: holds another bench ({', '.join(others)}); give another --out")
    return True


def _open_cutter(split: SplitRows, *, images: Sequence[str], anonymous: bool) -> Cutter:
    """Find where sources come from.

    Raises:
        InputError: the dataset stores none, and its photos are not there.
    """
    if split.recipe["keep_source"]:
        return Cutter(split.folder, split.recipe, None)
    inputs = find_inputs(split.folder, images=images, anonymous=anonymous)
    if inputs.store is None:
        why = "; ".join(inputs.absent) or "nothing says where they are"
        raise InputError(f"{split.folder.url}: stores no sources, and its photos are not there ({why}): give --images")
    return Cutter(split.folder, split.recipe, Photos(inputs.store, split.recipe))


def _write_cases(
    outputs: Outputs, cutter: Cutter, chosen: Chosen, *, seed: int, progress: Callable[[int], Any]
) -> tuple[list[list[str]], int, list[str]]:
    """Write the pictures of the cases, and list what becomes of each.

    Returns:
        The table's lines; how many exemplars are cut out of their ground truth; what was lost, and why.
    """

    def cut(case: tuple[str, int, int]) -> PhotoError | None:
        name, box, partner = case
        try:
            pictures = cutter.cut(chosen.rows[box], chosen.rows[partner])
        except PhotoError as error:
            return error
        _write_pictures(outputs, name, pictures.source, pictures.mask * np.uint8(255), pictures.exemplar)
        return None

    lost: dict[str, list[str]] = {}
    lines, reconstructed = [], 0
    cases = [(name, box, partner) for name, (box, partner) in zip(chosen.names, chosen.partners.items(), strict=True)]
    with ThreadPoolExecutor(THREADS) as pool:
        results = work_ahead(pool, cut, cases, ahead=2 * THREADS)
        for done, ((name, box, partner), error) in enumerate(zip(cases, results, strict=True), start=1):
            progress(done)
            if error is not None:
                lost.setdefault(error.reason, []).append(f"{name}: {error.detail or error.reason}")
                continue
            reconstructed += box == partner and any(chosen.rows[box]["exemplar_box"])
            lines.append(_line(name, chosen.rows[box], seed=seed))
    return lines, reconstructed, _losses(lost)


def _write_pictures(outputs: Outputs, name: str, source: Pixels, mask: Pixels, exemplar: Pixels) -> None:
    for folder, pixels in zip(FOLDERS, (source, mask, exemplar), strict=True):
        outputs.write(f"{folder}/{name}.png", pixels)


def _line(name: str, row: Row, *, seed: int) -> list[str]:
    label = "" if row["label"] in ("", NO_LABEL) else row["label_name"] or row["label"]
    files = [f"{folder}/{name}.png" for folder in (*FOLDERS, "sources")]
    return [name, *files, label, str(seed_of_case(seed, name))]


def _as_csv(lines: Iterable[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()


def _losses(lost: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        redact(f"{len(cases):,} cases could not be cut ({reason}), such as {cases[0]}")
        for reason, cases in lost.items()
    ]


def _banners(split: str, reconstructed: int, cases: int) -> Iterable[str]:
    if split == "train":
        yield SEEN
    if reconstructed:
        yield f"{RECONSTRUCTION}: the exemplars of {reconstructed:,} of {cases:,} cases are cut out of the ground truth"
