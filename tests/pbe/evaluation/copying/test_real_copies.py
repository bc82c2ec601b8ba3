"""Real photos with true masks: a cut-out object that was pasted is found, an unrelated one is not."""

from pathlib import Path

import cv2
import numpy as np

from pbe.evaluation.copying.harmonising import harmonise_reinhard
from pbe.evaluation.copying.pasting import paste_object
from pbe.evaluation.copying.score import copy_paste_score
from pipeline.arrays import Hole, Pixels
from tests.pbe.evaluation.copying.pictures import hole

THRESHOLD = 0.66  # as 2,000 unrelated pairs of real photos give it; see tests/benchmarks/copy_paste.py


def _objects(folder: Path) -> list[tuple[Pixels, Hole]]:
    """Cut the box of each mask out of its photo: exemplar and mask."""
    found = []
    for path in sorted((folder / "masks").glob("*.png")):
        photo = cv2.imread(str(folder / "images" / f"{path.name.split('_')[0]}.jpg"))[..., ::-1]
        mask = cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), photo.shape[1::-1]) > 127
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        box = slice(y, y + height), slice(x, x + width)
        found.append((np.ascontiguousarray(photo[box]), mask[box]))
    return found


def test_true_cut_outs_are_found_and_unrelated_objects_are_not(real_data: Path) -> None:
    objects = _objects(real_data / "openimages_masks_15")
    copied, unrelated = [], []
    for at, (exemplar, mask) in enumerate(objects):
        other = cv2.resize(objects[at - 4][0], (400, 300))
        where = hole(300, 400, (20, 20, 380, 280))
        pasted, drawn = paste_object(other, where, exemplar, mask)
        for result in (pasted, harmonise_reinhard(pasted, drawn)):
            copied += [copy_paste_score(result, where, exemplar, told).value for told in (mask, None)]
        unrelated.append(copy_paste_score(other, where, exemplar).value)
    assert len(objects) == 15
    assert np.mean(np.array(copied) > THRESHOLD) >= 0.9
    assert np.mean(np.array(unrelated) > THRESHOLD) <= 0.1
