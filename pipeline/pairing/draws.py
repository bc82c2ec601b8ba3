"""Pair draws: an upright photo, a mask of your own and perhaps an exemplar -> source, mask and exemplar.

Each draw has another crop around the mask and another augmentation of the exemplar, by the functions and generators of
pipeline.draws; the mask is the same in all.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Mask, Pixels
from pipeline.decoding.decode import Photo
from pipeline.draws.draw import Draw, DrawnSample, DrawRecipe, choose_crop, render_draw
from pipeline.draws.exemplars import crop_exemplar, exemplar_box
from pipeline.draws.mask_pictures import fit_mask
from pipeline.draws.traced_masks import mask_box, trace_mask
from pipeline.rng import rng_for

NOWHERE = (0, 0, 0, 0)  # the place of an exemplar that is a picture of its own


@dataclass(frozen=True)
class GivenPictures:
    """What comes with a photo.

    Args:
        mask: upright, of any size that has the photo's shape.
        exemplar: None: the photo's part around the mask is the exemplar.
    """

    mask: Mask
    exemplar: Pixels | None


def draw_pair(
    photo: Photo, given: GivenPictures, *, recipe: DrawRecipe, image_id: str, box_id: int, draw: int
) -> DrawnSample:
    """Draw one sample of a pair.

    Raises:
        DrawError: the draw cannot be made.
    """
    height, width = photo.pixels.shape[:2]
    mask = fit_mask(given.mask, width, height)
    box_px = mask_box(mask)
    rng = rng_for(recipe.seed, "draw", image_id, box_id, draw)
    inner, extended, crop = choose_crop(box_px, width=width, height=height, recipe=recipe, rng=rng)
    polygon = trace_mask(mask, crop, recipe.resolution)
    left, top, right, bottom = (np.array(box_px) / (width, height, width, height)).tolist()
    box = (left, top, right, bottom)
    place = exemplar_box(inner, width, height) if given.exemplar is None else NOWHERE
    chosen = Draw(box, box_px, extended, crop, place, "traced", polygon)
    pixels, part = (photo.pixels, place) if given.exemplar is None else (given.exemplar, _all_of(given.exemplar))
    jpeg = crop_exemplar(pixels, part)
    return render_draw(photo, chosen, jpeg, box_source=box, recipe=recipe, image_id=image_id, draw=draw)


def _all_of(picture: Pixels) -> tuple[int, int, int, int]:
    height, width = picture.shape[:2]
    return 0, 0, width, height
