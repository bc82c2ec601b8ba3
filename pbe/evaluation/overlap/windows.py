"""Windows: a small grey picture -> a 63-bit hash of each of 52 windows in it, and of their flips and turns.

A hash is the signs of a window's lowest DCT frequencies, in x and in y below 8, without the mean. It does not change
with size, contrast or brightness, and little with colour and recompression. A flip negates the odd frequencies and a
transposition swaps the two axes, so that the hashes of all eight forms follow from one.
"""

from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SMALL_PX = 160  # along both sides of a small grey picture
SAMPLES = 32  # along both sides of a window
FREQUENCIES = 8
FLAT = 1.5  # grey levels: a window whose frequencies have a smaller standard deviation shows nothing but noise
# Of both sides: the whole; 3 x 3 windows of .9; 5 x 5 of .8. Of the longer one: the squares of 4:3, 3:2 and 16:9.
GRIDS = ((1.0, 1), (0.9, 3), (0.8, 5))
STRIPS = ((0.75, 5), (2 / 3, 5), (9 / 16, 7))

# What is done to a picture, by number: bit 2 transposes it, then bit 1 turns it upside down, then bit 0 mirrors it.
TURNS = (
    "none",
    "mirrored",
    "mirrored and turned by 180",
    "turned by 180",
    "mirrored and turned by 90",
    "turned by 270",
    "turned by 90",
    "mirrored and turned by 270",
)  # degrees counter-clockwise, after the mirror

Grey = NDArray[np.float32]  # [SMALL_PX, SMALL_PX], 0..255
Hashes = NDArray[np.uint64]
Interval = tuple[float, float]


def turn(pixels: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Flip and turn a picture [h, w, ...] as TURNS says."""
    if number & 4:
        pixels = pixels.swapaxes(0, 1)
    if number & 2:
        pixels = pixels[::-1]
    return pixels[:, ::-1] if number & 1 else pixels


def _offsets(share: float, count: int) -> list[Interval]:
    return [(start, start + share) for start in np.linspace(0, 1 - share, count).tolist()]


def _windows() -> list[tuple[Interval, Interval]]:
    """List the windows: the interval in x, and that in y."""
    grids = [(x, y) for share, count in GRIDS for x, y in product(_offsets(share, count), repeat=2)]
    strips = [interval for share, count in STRIPS for interval in _offsets(share, count)]
    whole = (0.0, 1.0)
    return grids + [(strip, whole) for strip in strips] + [(whole, strip) for strip in strips]


def _frequencies_of(interval: Interval) -> NDArray[np.float32]:
    """Give the matrix [FREQUENCIES, SMALL_PX] that samples an interval of a line by area and takes its DCT-II."""
    edges = np.linspace(interval[0], interval[1], SAMPLES + 1) * SMALL_PX
    pixels = np.arange(SMALL_PX)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    areas = np.clip(covered, 0, None)
    places = (np.arange(SAMPLES) + 0.5) / SAMPLES
    waves = np.cos(np.pi * np.arange(FREQUENCIES)[:, None] * places)
    waves[1:] *= np.sqrt(2)
    return np.asarray(waves / SAMPLES @ (areas / areas.sum(1, keepdims=True)), np.float32)


WINDOWS = _windows()
"""Those of a wide and of a tall photo; see `windows_of`."""
_INTERVALS = sorted({interval for window in WINDOWS for interval in window})
_X = np.array([_INTERVALS.index(x) for x, _ in WINDOWS])
_Y = np.array([_INTERVALS.index(y) for _, y in WINDOWS])
_MATRIX = np.concatenate([_frequencies_of(interval) for interval in _INTERVALS])
_ODD = np.arange(FREQUENCIES) % 2 == 1


def windows_of(width: int, height: int) -> NDArray[np.int64]:
    """Choose the windows of a photo of some size: their places in WINDOWS, 52 of them."""
    whole = (0.0, 1.0)
    across = [window[0] == whole or window[1] != whole for window in WINDOWS]
    along = [window[1] == whole or window[0] != whole for window in WINDOWS]
    return np.flatnonzero(along if width >= height else across)


def hash_windows(grey: Grey) -> tuple[Hashes, NDArray[np.bool_]]:
    """Hash the WINDOWS of a picture.

    Returns:
        uint64 [WINDOWS], of which the highest bit is 0; bool [WINDOWS], False where a window is FLAT.
    """
    # All products of an interval in x and one in y at once: [intervals, 8, intervals, 8].
    shape = (len(_INTERVALS), FREQUENCIES)
    # By OpenCV: numpy's BLAS spreads products as small as these over all cores, which takes 50 times the CPU time.
    multiply: Any = cv2.gemm  # whose types know no missing third matrix
    products = multiply(multiply(_MATRIX, grey, 1, None, 0), _MATRIX, 1, None, 0, flags=cv2.GEMM_2_T)
    waves = products.reshape(*shape, *shape)[_Y, :, _X]  # [windows, 8 in y, 8 in x]
    waves[:, 0, 0] = 0
    return _pack(waves > 0), np.asarray((waves**2).sum((1, 2)) >= FLAT**2)


def turn_hashes(hashes: Hashes) -> Hashes:
    """Give the hashes of the same windows of a picture's eight TURNS: uint64 [n] -> [8, n]."""
    bits = np.unpackbits(hashes.astype(">u8")[:, None].view(np.uint8), axis=1).reshape(-1, FREQUENCIES, FREQUENCIES)
    turned = []
    for number in range(len(TURNS)):
        signs = bits.swapaxes(1, 2) if number & 4 else bits
        swaps = (_ODD[:, None] & bool(number & 2)) ^ (_ODD & bool(number & 1))
        turned.append(_pack(signs.astype(bool) ^ swaps))
    return np.stack(turned)


def _pack(signs: NDArray[np.bool_]) -> Hashes:
    """Pack bool [n, 8, 8] into uint64 [n], the frequency 0, 0 highest."""
    packed = np.packbits(signs.reshape(-1, FREQUENCIES * FREQUENCIES), axis=1)
    return np.ascontiguousarray(packed).view(">u8")[:, 0].astype(np.uint64)
