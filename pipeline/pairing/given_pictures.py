"""Given pictures: the files of a pair -> its mask and exemplar, decoded -> a drawn sample."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from pipeline.decoding.decode import Photo, decode_photo
from pipeline.draws.draw import DrawnSample, DrawRecipe
from pipeline.draws.mask_pictures import decode_mask
from pipeline.errors import DrawError, PhotoError
from pipeline.pairing.draws import GivenPictures, draw_pair
from pipeline.pairing.store import PairStore
from pipeline.photos.bounded_reads import read_picture
from pipeline.planning.tasks import PlannedPhoto
from pipeline.units.drawn_photos import Drawer

KEPT_DECODED = 4  # a photo's draws follow each other, and mostly want the same mask


def pair_drawer(store: PairStore, *, max_pixels: int, min_px: int) -> Drawer:
    """Return what draws the samples of pairs.

    Args:
        max_pixels, min_px: of an exemplar; a mask may be small.
    """

    @lru_cache(KEPT_DECODED)
    def open_pictures(image_id: str, box_id: int) -> GivenPictures:
        pair = store.pair(image_id, box_id)
        with _reason_of("mask"):
            if not pair["mask"]:
                raise PhotoError("missing", f"no mask goes with {pair['image']}")
            data = read_picture(store.folders[0], pair["mask"])
            mask = decode_mask(data, max_pixels=max_pixels, repaint=pair["repaint"])
        if not pair["exemplar"]:
            return GivenPictures(mask, None)
        with _reason_of("exemplar"):
            data = read_picture(store.folders[0], pair["exemplar"])
            opened = decode_photo(data, rotation=None, boxes_frame="exif", max_pixels=max_pixels, min_px=min_px)
        return GivenPictures(mask, opened.pixels)

    def draw_given(photo: Photo, planned: PlannedPhoto, draw: int, recipe: DrawRecipe) -> DrawnSample:
        box_id = planned.box_of(draw)["box_id"]
        given = open_pictures(planned.image_id, box_id)
        return draw_pair(photo, given, recipe=recipe, image_id=planned.image_id, box_id=box_id, draw=draw)

    return draw_given


@contextmanager
def _reason_of(what: str) -> Iterator[None]:
    """Make the reason why a picture cannot be used one for the draw: `mask_truncated`, say.

    Raises:
        DrawError: from within.
    """
    try:
        yield
    except DrawError:
        raise
    except PhotoError as error:
        raise DrawError(f"{what}_{error.reason}", error.detail) from error
