"""Compared media: a name in the App -> a case's source, exemplar, ground truth or mask, or a row's picture of it."""

import threading

import cachetools

from dashboards.app.slices import slice_names
from dashboards.comparison import ComparedCase, Comparison
from dashboards.views.kept_pictures import KeptPictures, Media
from dashboards.views.sample_media import EXPLAINED_PX, JPEG, PNG, encode_mask, explain, open_picture, shrink
from pbe.editing.case_table import SAFE_NAME
from pbe.evaluation.bench.recorded import CaseInputs, open_recorded, sizes_of
from pipeline.decoding.jpeg import encode_jpeg
from schemas.scores import picture_path

SOURCE, EXEMPLAR, GROUND_TRUTH, MASK = "source", "exemplar", "ground truth", "mask"
LONGEST_PX = 2048
EXPLAINED = (EXPLAINED_PX, EXPLAINED_PX)


class ComparedMedia:
    """Pictures of an evaluation by name, by places in a list: what files are called never reaches a name.

    Attributes:
        inputs: those that any case has.
        slices: by name, what each shows: an input, or a row of the table.
    """

    def __init__(self, dataset: str, comparison: Comparison) -> None:
        self._dataset, self._comparison = dataset, comparison
        self.inputs = [SOURCE, EXEMPLAR]
        if any(case.recorded.case.ground_truth for case in comparison.cases):
            self.inputs.append(GROUND_TRUTH)
        shown = [*self.inputs, *comparison.rows]
        self.slices = dict(zip(slice_names(shown), shown, strict=True))
        self._opened: cachetools.LRUCache[int, CaseInputs] = cachetools.LRUCache(8)
        self._kept = KeptPictures()
        self._lock = threading.Lock()

    def name(self, rank: int, place: int) -> str:
        """Name the picture of a case: `/DATASET/compared/CASE/SLICE.png`, both by number; the mask comes last."""
        return f"/{self._dataset}/compared/{rank:06d}/{place:04d}.png"

    @property
    def mask_place(self) -> int:
        return len(self.slices)

    def sizes(self, rank: int) -> tuple[list[tuple[int, int]], bool]:
        """Return the width and height in px of a case's picture in each slice, and whether its mask can be shown.

        A row's pictures are as large as the source.
        """
        case = self._comparison.cases[rank]
        known = sizes_of(case.recorded)
        inputs = [known.get(what, EXPLAINED) for what in self.inputs]
        made = [known.get(SOURCE, EXPLAINED) if _is_made(case, row) else EXPLAINED for row in self._comparison.rows]
        return [*inputs, *made], SOURCE in known and (bool(case.recorded.case.box) or MASK in known)

    def picture(self, name: str) -> Media | None:
        """Make the picture of a name; what is gone gives one that says so. None: no such name."""
        parts = name.removeprefix(f"/{self._dataset}/compared/").removesuffix(".png").split("/")
        if len(parts) != 2 or not all(part.isascii() and part.isdecimal() for part in parts):
            return None
        rank, place = map(int, parts)
        if rank >= len(self._comparison.cases) or place > self.mask_place or name != self.name(rank, place):
            return None
        return self._kept.get(name, lambda: self._make(rank, place))

    def _make(self, rank: int, place: int) -> Media:
        if place == self.mask_place:
            return self._input(rank, MASK)
        if place < len(self.inputs):
            return self._input(rank, self.inputs[place])
        case, row = self._comparison.cases[rank], self._comparison.rows[place - len(self.inputs)]
        if not _is_made(case, row):
            score = case.scores.get(row)
            return explain(f"{case.name}: {(score and score['failed']) or 'has no picture by this row'}")
        path = picture_path(row, case.name)
        return open_picture(path, lambda: self._comparison.folder.read(path))[0]

    def _input(self, rank: int, what: str) -> Media:
        inputs = self._read_inputs(rank)
        if what == MASK:
            return explain(inputs.absent[MASK]) if inputs.mask is None else (encode_mask(inputs.mask), PNG)
        pixels = {SOURCE: inputs.source, EXEMPLAR: inputs.exemplar, GROUND_TRUTH: inputs.ground_truth}[what]
        return explain(inputs.absent[what]) if pixels is None else (encode_jpeg(shrink(pixels, LONGEST_PX)), JPEG)

    def _read_inputs(self, rank: int) -> CaseInputs:
        with self._lock:
            inputs = self._opened.get(rank)
        if inputs is None:
            inputs = open_recorded(self._comparison.cases[rank].recorded)
            with self._lock:
                self._opened[rank] = inputs
        return inputs


def _is_made(case: ComparedCase, row: str) -> bool:
    """Whether a row has a picture of a case; one whose name cannot be a file's has none."""
    return bool(case.scores.get(row, {}).get("picture")) and SAFE_NAME.fullmatch(case.name) is not None
