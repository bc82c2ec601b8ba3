"""Harmonising: a composite and what was pasted into it -> the paste in the picture's colours. Imports no torch.

Not the paper's DCCF: whoever uses it says `Reinhard colour transfer`.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Hole, Pixels

LEAST_SPREAD = 1e-3  # of a LAB channel: below it colours are moved, not stretched


def harmonise_reinhard(composite: Pixels, mask: Hole) -> Pixels:
    """Give what lies inside a mask the mean and spread that the rest has, in CIELAB (Reinhard et al., 2001).

    Args:
        composite: [h, w, 3] uint8 sRGB.
        mask: [h, w] bool, True = what was pasted; where that is nothing or everything, nothing changes.

    Returns:
        [h, w, 3] uint8; outside the mask as it was, bit for bit.
    """
    harmonised = composite.copy()
    if mask.any() and not mask.all():
        lab = cv2.cvtColor(composite.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB).astype(np.float32)
        moved = _match(lab[mask], lab[~mask])
        rgb = cv2.cvtColor(moved[None], cv2.COLOR_LAB2RGB)[0]
        harmonised[mask] = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return harmonised


def _match(pasted: NDArray[np.float32], around: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move colours [n, 3] to the mean and spread of others."""
    mean, spread = pasted.mean(axis=0, dtype=np.float64), pasted.std(axis=0, dtype=np.float64)
    gain = np.where(spread < LEAST_SPREAD, 1, around.std(axis=0, dtype=np.float64) / np.maximum(spread, LEAST_SPREAD))
    moved: NDArray[np.float64] = (pasted - mean) * gain + around.mean(axis=0, dtype=np.float64)
    return moved.astype(np.float32)
