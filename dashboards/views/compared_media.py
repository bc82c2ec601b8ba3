"""Compared media: a name in the App -> a case's source, exemplar, ground truth or mask, or a row's picture of it."""

import threading

import cachetools

from dashboards.comparison import Comparison
from dashboards.views.kept_pictures import KeptPictures, Media
from dashboards.views.sample_media import JPEG, PNG, encode_mask, explain, open_picture, shrink
from pbe.editing.case_table import SAFE_NAME
from pbe.evaluation.bench.recorded import CaseInputs, open_recorded, sizes_of
from pipeline.decoding.jpeg import encode_jpeg
from schemas.scores import picture_path

SOURCE, EXEMPLAR, GROUND_TRUTH, MASK = "source", "exemplar", "ground truth", "mask"
LONGEST_PX = 2048
UNKNOWN_SIZE = (512, 512)


class ComparedMedia:
    """Pictures of an evaluation by name, by places in a list: what files are called never reaches a name."""

    def __init__(self, dataset: str, comparison: Comparison) -> None:
        self._dataset, self._comparison = dataset, comparison
        self.slices = [SOURCE, EXEMPLAR, GROUND_TRUTH, *comparison.rows]
        self._inputs: cachetools.LRUCache[int, CaseInputs] = cachetools.LRUCache(8)
        self._sizes: cachetools.LRUCache[int, dict[str, tuple[int, int]]] = cachetools.LRUCache(8)
        self._kept = KeptPictures()
        self._lock = threading.Lock()

    def name(self, rank: int, slice_name: str) -> str:
        """Name the picture of a case: `/DATASET/compared/CASE/SLICE.png`, both by number."""
        return f"/{self._dataset}/compared/{rank:06d}/{[*self.slices, MASK].index(slice_name):04d}.png"

    def size(self, rank: int, slice_name: str) -> tuple[int, int]:
        """Return a picture's width and height in px; of all but the exemplar it is the source's."""
        sizes = self._sizes_of(rank)
        return sizes.get(slice_name) or (sizes.get(SOURCE, UNKNOWN_SIZE) if slice_name != EXEMPLAR else UNKNOWN_SIZE)

    def has_mask(self, rank: int) -> bool:
        """Whether a case's mask can be shown."""
        case, sizes = self._comparison.cases[rank].recorded.case, self._sizes_of(rank)
        return SOURCE in sizes and (bool(case.box) or MASK in sizes)

    def picture(self, name: str) -> Media | None:
        """Make the picture of a name; what is gone gives one that says so. None: no such name."""
        parts = name.removeprefix(f"/{self._dataset}/compared/").removesuffix(".png").split("/")
        if len(parts) != 2 or not all(part.isascii() and part.isdecimal() for part in parts):
            return None
        rank, number = map(int, parts)
        names = [*self.slices, MASK]
        if rank >= len(self._comparison.cases) or number >= len(names) or name != self.name(rank, names[number]):
            return None
        return self._kept.get(name, lambda: self._make(rank, names[number]))

    def _make(self, rank: int, slice_name: str) -> Media:
        inputs = self._read_inputs(rank)
        if slice_name == MASK:
            return explain(inputs.absent[MASK]) if inputs.mask is None else (encode_mask(inputs.mask), PNG)
        if slice_name in (SOURCE, EXEMPLAR, GROUND_TRUTH):
            pixels = {SOURCE: inputs.source, EXEMPLAR: inputs.exemplar, GROUND_TRUTH: inputs.ground_truth}[slice_name]
            if pixels is None:
                return explain(inputs.absent[slice_name])
            return encode_jpeg(shrink(pixels, LONGEST_PX)), JPEG
        case = self._comparison.cases[rank]
        score = case.scores.get(slice_name)
        if score is None or not score["picture"] or not SAFE_NAME.fullmatch(case.name):
            return explain(f"{case.name}: {score['failed'] if score else 'has no picture by this row'}")
        place = picture_path(slice_name, case.name)
        return open_picture(place, lambda: self._comparison.folder.read(place))[0]

    def _sizes_of(self, rank: int) -> dict[str, tuple[int, int]]:
        with self._lock:
            if rank not in self._sizes:
                self._sizes[rank] = sizes_of(self._comparison.cases[rank].recorded)
            return self._sizes[rank]

    def _read_inputs(self, rank: int) -> CaseInputs:
        with self._lock:
            inputs = self._inputs.get(rank)
        if inputs is None:
            inputs = open_recorded(self._comparison.cases[rank].recorded)
            with self._lock:
                self._inputs[rank] = inputs
        return inputs
