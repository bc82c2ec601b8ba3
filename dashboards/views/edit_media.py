"""Edit media: a name in the App -> a case's source, exemplar, mask, or a picture that the model made."""

import threading
from collections.abc import Sequence

import cachetools

from dashboards.app.slices import slice_name
from dashboards.edits import Edit, EditedPicture, EditInputs, read_inputs
from dashboards.views.kept_pictures import KeptPictures, Media
from dashboards.views.sample_media import JPEG, PNG, encode_mask, explain, open_picture, shrink
from pipeline.arrays import Pixels
from pipeline.decoding.jpeg import encode_jpeg

SOURCE, EXEMPLAR, MASK = "source", "exemplar", "mask"
LONGEST_PX = 2048


def slice_of(picture: EditedPicture) -> str:
    """Name the slice of a picture: `guidance 5 seed 0`."""
    if picture.guidance is None:
        return "edited"
    return slice_name(f"guidance {picture.guidance:g} seed {picture.seed}")


def slices_of(edits: Sequence[Edit]) -> list[str]:
    """Name the slices that show some edits: inputs first, then what was made, by guidance and seed."""
    made = {(picture.guidance or 0, picture.seed or 0): slice_of(picture) for e in edits for picture in e.pictures}
    return [SOURCE, EXEMPLAR, *(made[place] for place in sorted(made))]


class EditMedia:
    """Pictures of edits by name, by places in a list: what files are called never reaches a name."""

    def __init__(self, dataset: str, edits: Sequence[Edit]) -> None:
        self._dataset, self._edits, self._slices = dataset, edits, [*slices_of(edits), MASK]
        self._inputs: cachetools.LRUCache[int, EditInputs] = cachetools.LRUCache(8)
        self._kept = KeptPictures()
        self._lock = threading.Lock()

    def name(self, place: int, slice_name: str) -> str:
        """Name the picture of a case: `/DATASET/edit/CASE/SLICE.png`, both by number."""
        return f"/{self._dataset}/edit/{place:06d}/{self._slices.index(slice_name):04d}.png"

    def size(self, place: int, slice_name: str) -> tuple[int, int]:
        """Read a picture's width and height in px, from its header where it is a file."""
        found = self._picture_of(self._edits[place], slice_name)
        if found:
            return open_picture(found.name, lambda: self._edits[place].folder.read(found.name))[1]
        pixels = self._input(place, slice_name)
        return (pixels.shape[1], pixels.shape[0]) if pixels is not None else (512, 512)

    def picture(self, name: str) -> Media | None:
        """Make the picture of a name; what is gone gives one that says so. None: no such name."""
        parts = name.removeprefix(f"/{self._dataset}/edit/").removesuffix(".png").split("/")
        if len(parts) != 2 or not all(part.isascii() and part.isdecimal() for part in parts):
            return None
        place, number = map(int, parts)
        if place >= len(self._edits) or number >= len(self._slices) or name != self.name(place, self._slices[number]):
            return None
        return self._kept.get(name, lambda: self._make(place, self._slices[number]))

    def has_mask(self, place: int) -> bool:
        """Whether a case's mask can be shown."""
        return self._read_inputs(place).mask is not None

    def _make(self, place: int, slice_name: str) -> Media:
        edit = self._edits[place]
        if slice_name == MASK:
            mask = self._read_inputs(place).mask
            return explain(self._read_inputs(place).absent[MASK]) if mask is None else (encode_mask(mask), PNG)
        if slice_name in (SOURCE, EXEMPLAR):
            pixels = self._input(place, slice_name)
            if pixels is None:
                return explain(self._read_inputs(place).absent[slice_name])
            return encode_jpeg(shrink(pixels, LONGEST_PX)), JPEG
        found = self._picture_of(edit, slice_name)
        if found is None:
            return explain(f"{edit.name}: not made with {slice_name}")
        return open_picture(found.name, lambda: edit.folder.read(found.name))[0]

    def _picture_of(self, edit: Edit, slice_name: str) -> EditedPicture | None:
        return next((picture for picture in edit.pictures if slice_of(picture) == slice_name), None)

    def _input(self, place: int, what: str) -> Pixels | None:
        inputs = self._read_inputs(place)
        return {SOURCE: inputs.source, EXEMPLAR: inputs.exemplar}.get(what)

    def _read_inputs(self, place: int) -> EditInputs:
        with self._lock:
            inputs = self._inputs.get(place)
        if inputs is None:
            inputs = read_inputs(self._edits[place])
            with self._lock:
                self._inputs[place] = inputs
        return inputs
