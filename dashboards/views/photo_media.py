"""Photo media: a name in the App -> a photo of the tables, upright; a lost one gives a picture that says why."""

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.fates import PhotoFate
from dashboards.views.kept_pictures import KeptPictures, Media
from dashboards.views.sample_media import JPEG, explain, shrink
from pipeline.arrays import Box
from pipeline.decoding.jpeg import encode_jpeg
from pipeline.decoding.orientation import TURN_BOX, box_turn_of
from pipeline.errors import PhotoError
from pipeline.pictures.cut_sources import Photos, rotation_of

LONGEST_PX = 1024


def photo_name(dataset: str, number: int) -> str:
    """Name a photo by its place among those shown: image ids come from tables, and may hold anything."""
    return f"/{dataset}/photo/{number:07d}.jpg"


@dataclass(frozen=True)
class UprightPhoto:
    """A photo as it is shown.

    Args:
        width, height: in px, upright.
        box_turn: the EXIF orientation by which its boxes turn.
        fault: why it cannot be shown; empty: it can.
    """

    width: int
    height: int
    box_turn: int
    fault: str = ""

    def turn(self, box: Box) -> Box:
        """Turn a box of the table into the upright frame."""
        turned: Box = TURN_BOX[self.box_turn](*box)
        return turned


class PhotoMedia:
    """Photos by name, the last ones kept; safe for several threads."""

    def __init__(self, dataset: str, fates: Sequence[PhotoFate], photos: Photos, rotations: dict[str, float]) -> None:
        """Take the photos that may be looked at.

        Args:
            rotations: of the image-info tables, for photos of which no sample says it.
        """
        self._dataset, self._fates, self._photos, self._rotations = dataset, fates, photos, rotations
        self._kept = KeptPictures()

    def measure(self, fate: PhotoFate) -> UprightPhoto:
        """Find a photo's upright size and how its boxes turn: from its samples, else from the photo itself."""
        if fate.size and fate.orientation is not None:
            turn = box_turn_of(fate.orientation, self._photos.recipe["boxes_frame"])
            return UprightPhoto(*fate.size, turn)
        try:
            photo = self._photos.upright(self._photos.read(fate.image_id), rotation=self._rotations.get(fate.image_id))
        except (PhotoError, OSError) as error:
            return UprightPhoto(4, 3, 1, str(error))
        height, width = photo.pixels.shape[:2]
        return UprightPhoto(width, height, photo.box_turn)

    def picture(self, name: str) -> Media | None:
        """Make the picture of a name; None: no such name."""
        stem = name.removeprefix(f"/{self._dataset}/photo/").removesuffix(".jpg")
        if not stem.isdecimal() or not stem.isascii() or int(stem) >= len(self._fates):
            return None
        if name != photo_name(self._dataset, int(stem)):
            return None
        return self._kept.get(name, lambda: self._make(self._fates[int(stem)]))

    def _make(self, fate: PhotoFate) -> Media:
        seen = fate.orientation
        rotation = self._rotations.get(fate.image_id) if seen is None else rotation_of(seen)
        try:
            photo = self._photos.upright(self._photos.read(fate.image_id), rotation=rotation)
        except (PhotoError, OSError) as error:
            return explain(f"{fate.image_id}: {error}")
        return encode_jpeg(shrink(photo.pixels, LONGEST_PX)), JPEG
