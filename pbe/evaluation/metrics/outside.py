"""Outside: source, result and mask -> how much the result changed what it should have kept. Imports no torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pbe.evaluation.metrics.colour import lab_of
from pipeline.arrays import Hole, Pixels

SSIM_WINDOW_PX = 7
_PEAK = 255
_AN_OUTSIDE = "the mask covers the whole picture"


@dataclass(frozen=True)
class Outside:
    """How far a result is from its source outside of the mask.

    Args:
        exact: no pixel there changed; None: the mask leaves none.
        psnr_db: over its pixels and the three channels; None where exact, too.
        ssim: -1..1, 1 where exact; see `compare_outside`.
        colour: mean distance in CIELAB (CIE76: Euclidean; white D65), 0 where exact; about 2.3 are just noticed.
        reason: why a number is missing; empty where exact alone explains it.
    """

    exact: bool | None
    psnr_db: float | None
    ssim: float | None
    colour: float | None
    reason: str = ""


def compare_outside(source: Pixels, result: Pixels, mask: Hole) -> Outside:
    """Compare a result with its source outside of the mask.

    SSIM is scikit-image's over the three channels, with its uniform window of 7 x 7 px, averaged over the pixels
    outside. In the hole both pictures show the source then, so that no window, not even one that reaches into the hole,
    sees what was painted there: the values do not depend on it.

    Args:
        source, result: [h, w, 3] uint8 sRGB.
        mask: [h, w] bool, True = repaint.

    Raises:
        ValueError: the sizes differ.
    """
    if source.shape != result.shape or source.shape[:2] != mask.shape:
        raise ValueError(f"source {source.shape}, result {result.shape} and mask {mask.shape} differ in size")
    if mask.all():
        return Outside(None, None, None, None, _AN_OUTSIDE)
    changed = (source != result).any(axis=2) & ~mask
    if not changed.any():
        return Outside(True, None, 1.0, 0.0)
    outside = int((~mask).sum())
    before, after = source[changed], result[changed]  # [n, 3]; all others add nothing to the sums
    squares = float(np.square(before.astype(np.float64) - after).sum()) / (3 * outside)
    colour = float(np.linalg.norm(lab_of(before) - lab_of(after), axis=1).sum()) / outside
    ssim = _ssim(source, result, mask)
    reason = "" if ssim is not None else f"SSIM needs {SSIM_WINDOW_PX} px a side"
    return Outside(False, float(10 * np.log10(_PEAK**2 / squares)), ssim, colour, reason)


def _ssim(source: Pixels, result: Pixels, mask: Hole) -> float | None:
    from skimage.metrics import structural_similarity  # here, since it brings SciPy with it

    if min(mask.shape) < SSIM_WINDOW_PX:
        return None
    kept = np.where(mask[..., None], source, result)
    similarity: Any = structural_similarity
    _, each = similarity(source, kept, win_size=SSIM_WINDOW_PX, channel_axis=2, data_range=_PEAK, full=True)
    return float(each[~mask].mean())
