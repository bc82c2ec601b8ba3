"""Copy-paste score: what was painted into a hole, and an exemplar -> how much of the exemplar was pasted, -1..1.

The score is the largest correlation between the hole and the exemplar in any small scale, shift and flip (ours; no
paper has one for objects): the masked zero-mean normalised cross-correlation of difference-of-Gaussian luminance. It
is first taken over the complete overlap, by FFT, which finds the alignments worth a look; in these, over windows, so
that a part of the exemplar that was cut out and pasted counts, whatever the rest of the hole shows. Imports no torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from pbe.editing.canvas import hole_box
from pbe.evaluation.metrics.measured import Measured
from pipeline.arrays import Hole, PixelBox, Pixels

Floats = NDArray[np.float32]

LEAST_PX = 12  # of the sides of a hole or exemplar
LEAST_CONTRAST = 0.5  # standard deviation of the band, in grey levels of 255
SIDE = 64  # a hole is reduced to about SIDE^2 px
EXEMPLAR_SIDE = 112  # and an exemplar is kept at no more than this
LONGEST = 2 * SIDE
FINE, COARSE = 0.6, 1.5  # sigmas of the band, px of the reduced hole
DAMPED = 1.0  # grey levels: a band's values grow with their root beyond this, so that no single edge decides
STRETCHED = (0.7, 0.8, 0.9, 1.0, 1.12, 1.25)  # scales of the exemplar, stretched over the hole's rectangle
CONTAINED = (0.7, 0.84, 1.0)  # and in its own proportions, as large as fits in
SHIFT = 0.2  # of the hole's sides, each way
OVERLAP = 0.5  # of the smaller of hole and exemplar: the least that is compared
ALIGNMENTS = 6  # that are looked at in windows
WINDOW = 0.4  # of the hole's sides
LEAST_AREA = 0.3  # of the hole's rectangle: smaller pictures of an exemplar agree with anything
_SAME_PROPORTIONS = 1.08
_FLAT = 1e-2  # variance of a damped band below which nothing correlates


@dataclass(frozen=True, eq=False)
class Region:
    """What was painted into a hole, reduced.

    Args:
        band: [h, w], 0 outside the hole.
        mask: [h, w], 1 = the hole, 0 = not.
    """

    band: Floats
    mask: Floats

    @property
    def shifts(self) -> tuple[int, int]:
        """How far an exemplar is moved, down and right, px."""
        height, width = self.mask.shape
        return max(round(SHIFT * height), 1), max(round(SHIFT * width), 1)

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of what an exemplar may cover: the hole's rectangle and the shifts on either side."""
        (height, width), (down, right) = self.mask.shape, self.shifts
        return height + 2 * down, width + 2 * right

    @property
    def padded(self) -> tuple[int, int]:
        height, width = self.canvas
        return scipy.fft.next_fast_len(height, True), scipy.fft.next_fast_len(width, True)

    @cached_property
    def spectra(self) -> NDArray[np.complex64]:
        """Conjugate spectra of mask, band and squared band: [3, ...]."""
        planes = np.stack([self.mask, self.band, self.band**2])
        spectra: NDArray[np.complex64] = np.conj(scipy.fft.rfft2(planes, self.padded))
        return spectra

    @cached_property
    def flipped(self) -> "Region":
        """The same, left and right exchanged."""
        return Region(np.ascontiguousarray(self.band[:, ::-1]), np.ascontiguousarray(self.mask[:, ::-1]))


@dataclass(frozen=True, eq=False)
class Exemplar:
    """An exemplar, reduced.

    Args:
        luminance: [h, w] 0..255.
        mask: [h, w], 1 = counts: the object, or all of it where nobody gave its mask.
        box: of the mask.
    """

    luminance: Floats
    mask: Floats
    box: PixelBox


def copy_paste_score(result: Pixels, mask: Hole, exemplar: Pixels, exemplar_mask: Hole | None = None) -> Measured:
    """Measure how much of an exemplar was pasted into a hole.

    Args:
        result: [h, w, 3] uint8 sRGB.
        mask: [h, w] bool, True = the hole.
        exemplar: [eh, ew, 3] uint8 sRGB.
        exemplar_mask: [eh, ew] bool, True = the object; None: all of the exemplar counts.

    Returns:
        -1..1, about 1 for an exact copy; or that hole or exemplar is too small or flat.

    Raises:
        ValueError: a picture and its mask differ in size.
    """
    region, reduced = reduce_region(result, mask), reduce_exemplar(exemplar, exemplar_mask)
    if isinstance(region, Measured):
        return region
    if isinstance(reduced, Measured):
        return reduced
    return Measured(correlate(region, reduced))


def reduce_region(result: Pixels, mask: Hole) -> Region | Measured:
    """Keep of a picture what the score reads: some 40 KB instead of megabytes."""
    _refuse_other_size(result, mask)
    if not mask.any():
        return Measured(None, "the mask is empty")
    left, top, right, bottom = hole_box(mask)
    width, height = right - left, bottom - top
    if min(width, height) < LEAST_PX:
        return Measured(None, f"the hole is {width} x {height} px: less than {LEAST_PX}")
    scale = min(SIDE / (width * height) ** 0.5, LONGEST / max(width, height))
    size = max(round(scale * width), LEAST_PX), max(round(scale * height), LEAST_PX)
    luminance = _scale(_luminance(result[top:bottom, left:right]), size)
    inside = _inside(mask[top:bottom, left:right].astype(np.float32), size)
    band = _band(luminance, inside)
    if not _has_contrast(band, inside):
        return Measured(None, "what was painted is flat")
    return Region(_damp(band), inside)


def reduce_exemplar(exemplar: Pixels, mask: Hole | None = None) -> Exemplar | Measured:
    """Keep of an exemplar what the score reads."""
    mask = np.ones(exemplar.shape[:2], np.bool_) if mask is None else mask
    _refuse_other_size(exemplar, mask)
    if not mask.any():
        return Measured(None, "the exemplar's mask is empty")
    height, width = exemplar.shape[:2]
    left, top, right, bottom = hole_box(mask)
    if min(right - left, bottom - top) < LEAST_PX:
        return Measured(None, f"the exemplar is {right - left} x {bottom - top} px: less than {LEAST_PX}")
    scale = min(1, EXEMPLAR_SIDE / ((right - left) * (bottom - top)) ** 0.5)
    size = max(round(scale * width), LEAST_PX), max(round(scale * height), LEAST_PX)
    luminance = _scale(_luminance(exemplar), size)
    counts = _inside(mask.astype(np.float32), size)
    if not counts.any() or not _has_contrast(_band(luminance, counts), counts):
        return Measured(None, "the exemplar is flat")
    return Exemplar(luminance, counts, hole_box(counts > 0))


@dataclass(frozen=True, eq=False)
class _Laid:
    """A scaled exemplar on a canvas: planes [2, *canvas] are band and mask; the spectra [3, ...] those of band, mask
    and squared band.
    """

    planes: Floats
    spectra: NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class _Alignment:
    """An exemplar laid over a hole: its band and mask [h, w] there, and how well they agree over all of the overlap."""

    score: float
    region: Region
    band: Floats
    mask: Floats


def correlate(region: Region, exemplar: Exemplar) -> float:
    """Find the largest correlation over scales, shifts, flips and windows, -1..1."""
    laid = (_lay(region, exemplar, part, size) for part, size in _sizes(region, exemplar))
    found = [_best_shift(side, each) for each in laid for side in (region, region.flipped)]
    found.sort(key=lambda alignment: -alignment.score)
    return max(map(_best_window, found[:ALIGNMENTS]))


def _sizes(region: Region, exemplar: Exemplar) -> Iterator[tuple[PixelBox, tuple[int, int]]]:
    """Yield the parts of the exemplar and the widths and heights that they take: all of it, and the object's box."""
    height, width = exemplar.mask.shape
    frame = (0, 0, width, height)
    yield from ((frame, size) for size in _fits(region, frame, STRETCHED, CONTAINED))
    left, top, right, bottom = exemplar.box
    if (right - left) * (bottom - top) < 0.8 * width * height:
        yield from ((exemplar.box, size) for size in _fits(region, exemplar.box, STRETCHED[1::2], CONTAINED[1:]))


def _fits(
    region: Region, part: PixelBox, stretched: tuple[float, ...], contained: tuple[float, ...]
) -> Iterator[tuple[int, int]]:
    """Yield widths and heights: stretched over the hole's rectangle, fitted into it, and covering it."""
    height, width = region.mask.shape
    columns, rows = part[2] - part[0], part[3] - part[1]
    for scale in stretched:
        yield max(round(scale * width), 4), max(round(scale * height), 4)
    fits, covers = sorted((width / columns, height / rows))
    if covers / fits < _SAME_PROPORTIONS:
        return
    for scale in [*(fits * share for share in contained), covers]:
        if scale >= fits or scale**2 * columns * rows >= LEAST_AREA * width * height:
            yield max(round(scale * columns), 4), max(round(scale * rows), 4)


def _lay(region: Region, exemplar: Exemplar, part: PixelBox, size: tuple[int, int]) -> _Laid:
    """Lay a scaled part of the exemplar on the middle of the canvas."""
    left, top, right, bottom = part
    inside = _inside(exemplar.mask[top:bottom, left:right], size)
    band = _damp(_band(_scale(exemplar.luminance[top:bottom, left:right], size), inside))
    laid = np.zeros((2, *region.canvas), np.float32)
    (rows, columns), (width, height) = region.canvas, size
    down, across = (rows - height) // 2, (columns - width) // 2
    taken = np.stack([band, inside])[:, max(-down, 0) :, max(-across, 0) :][:, :rows, :columns]
    down, across = max(down, 0), max(across, 0)
    laid[:, down : down + taken.shape[1], across : across + taken.shape[2]] = taken
    return _Laid(laid, scipy.fft.rfft2(np.stack([*laid, laid[0] ** 2]), region.padded))


def _best_shift(region: Region, laid: _Laid) -> _Alignment:
    """Correlate over the overlap at every shift (Padfield, CVPR 2010), and take the best.

    Bands have means near 0, so that none is subtracted here: that saves a third of the transforms.
    """
    of_mask, of_band, of_square = region.spectra
    spectrum, spectrum_of_mask, spectrum_of_square = laid.spectra
    products = np.stack(
        [of_mask * spectrum_of_mask, of_square * spectrum_of_mask, of_mask * spectrum_of_square, of_band * spectrum]
    )
    down, right = region.shifts
    count, aa, bb, ab = scipy.fft.irfft2(products, region.padded)[:, : 2 * down + 1, : 2 * right + 1]
    flat = _FLAT * np.maximum(count, 1)
    scores = ab / np.sqrt(np.maximum(aa, flat) * np.maximum(bb, flat))
    scores[count < OVERLAP * min(region.mask.sum(), laid.planes[1].sum()) - 0.5] = -1
    y, x = divmod(int(scores.argmax()), scores.shape[1])
    height, width = region.mask.shape
    band, mask = laid.planes[:, y : y + height, x : x + width]
    return _Alignment(float(scores[y, x]), region, band, mask)


def _best_window(alignment: _Alignment) -> float:
    """Correlate in every window of an alignment, and take the best."""
    both = alignment.mask * alignment.region.mask
    a, b = alignment.region.band * both, alignment.band * both
    height, width = both.shape
    rows, columns = max(round(WINDOW * height), 3), max(round(WINDOW * width), 3)
    sums = [_window_sums(plane, rows, columns) for plane in (both, a, a * a, b, b * b, a * b)]
    return float(_correlation(sums, least=0.6 * min(rows * columns, float(both.sum()))).max())


def _window_sums(plane: Floats, rows: int, columns: int) -> NDArray[np.float64]:
    """Sum a plane over every window inside it."""
    sums = cv2.boxFilter(plane, cv2.CV_64F, (columns, rows), anchor=(0, 0), normalize=False)
    return sums[: len(sums) - rows + 1, : sums.shape[1] - columns + 1]  # type: ignore[return-value]


def _correlation(sums: Sequence[NDArray[np.float64]], *, least: float) -> NDArray[np.float64]:
    """Correlate from sums over the overlap: its px, a, a^2, b, b^2, ab. -1 where the overlap is less than `least`."""
    count, a, aa, b, bb, ab = sums
    enough, count = count >= least - 0.5, np.maximum(count, 1)
    spread = np.maximum(aa - a * a / count, _FLAT * count) * np.maximum(bb - b * b / count, _FLAT * count)
    return np.where(enough, np.clip((ab - a * b / count) / np.sqrt(spread), -1, 1), -1)


def _refuse_other_size(picture: Pixels, mask: Hole) -> None:
    if picture.shape[:2] != mask.shape:
        raise ValueError(f"picture {picture.shape} and mask {mask.shape} differ in size")


def _luminance(pixels: Pixels) -> Floats:
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _scale(plane: Floats, size: tuple[int, int]) -> Floats:
    """Resize to (width, height)."""
    smaller = size[0] * size[1] < plane.size
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)  # type: ignore[return-value]


def _inside(mask: Floats, size: tuple[int, int]) -> Floats:
    """Resize a mask: 1 where half of a pixel or more is inside."""
    return (_scale(mask, size) >= 0.5).astype(np.float32)


def _band(luminance: Floats, inside: Floats) -> Floats:
    """Difference of Gaussians that see nothing outside the mask (normalised convolution), 0 there."""
    fine, coarse = (
        _blur(luminance * inside, sigma) / np.maximum(_blur(inside, sigma), 1e-3) for sigma in (FINE, COARSE)
    )
    return ((fine - coarse) * inside).astype(np.float32)


def _blur(plane: Floats, sigma: float) -> Floats:
    return cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)  # type: ignore[return-value]


def _damp(band: Floats) -> Floats:
    """Let values grow with their root."""
    return (band / np.sqrt(np.abs(band) + DAMPED)).astype(np.float32)


def _has_contrast(band: Floats, inside: Floats) -> bool:
    return bool(band[inside > 0].std() >= LEAST_CONTRAST) if inside.any() else False
