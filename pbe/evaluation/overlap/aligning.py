"""Aligning: two grey pictures -> whether one affine map takes one to the other, keypoints and pixels alike.

ORB keypoints (Rublee et al., ICCV 2011) of both are matched with Lowe's ratio test; RANSAC finds the affine map that
most of them agree on; then the details of the pixels that it lays on each other must correlate, which those of photos
that are only alike do not.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

KEYPOINTS = 600
RATIO = 0.8
REPROJECTED_PX = 4.0
LEAST_INLIERS = 8
LEAST_CORRELATION = 0.5
LEAST_SHARE = 0.25  # of the one picture, covered by the other
STRETCH = (0.25, 4.0)  # of a length, by the map
FINE_PX, COARSE_PX = 0.75, 4.0  # sigmas: what is between are the details; px of pictures of half the size


@dataclass(frozen=True)
class Keypoints:
    """Where keypoints are, [n, 2] float32 x y in px, and their descriptors, [n, 32] uint8."""

    places: NDArray[np.float32]
    descriptors: NDArray[np.uint8]


@dataclass(frozen=True)
class Alignment:
    """How well a picture lies on another one.

    Args:
        inliers: keypoints that agree on the map.
        correlation: of the details of both, where they overlap; 0: there is no map.
        quarter_turns: counter-clockwise, from one to the other.
    """

    inliers: int
    correlation: float
    quarter_turns: int

    @property
    def same(self) -> bool:
        return self.inliers >= LEAST_INLIERS and self.correlation >= LEAST_CORRELATION


NO_ALIGNMENT = Alignment(0, 0.0, 0)


class Alignable:
    """A grey picture with what aligning needs of it, found when it is first asked for.

    Args:
        large: [h, w] uint8, of any turn; see Greys.
    """

    def __init__(self, large: NDArray[np.uint8]) -> None:
        self._large = large

    @cached_property
    def keypoints(self) -> Keypoints:
        return _find_keypoints(self._pixels)

    @cached_property
    def mirrored(self) -> "Alignable":
        return Alignable(self._large[:, ::-1])  # the same pixels in memory

    @property
    def square(self) -> "Alignable":
        """The same, both sides as long as the longer one; made anew each time."""
        side = max(self._large.shape)
        return Alignable(np.asarray(cv2.resize(self._pixels, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8))

    def details(self) -> NDArray[np.float32]:
        """What is neither noise nor shading, [h/2, w/2] float32; few pictures are ever asked for it."""
        half = cv2.resize(self._pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.float32)
        fine, coarse = (cv2.GaussianBlur(half, (0, 0), sigma) for sigma in (FINE_PX, COARSE_PX))
        return np.asarray(fine - coarse, np.float32)

    @property
    def _pixels(self) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self._large)

    @property
    def plain(self) -> bool:
        """Whether it shows too little to be aligned with anything."""
        return len(self.keypoints.places) < LEAST_INLIERS


def align(one: Alignable, other: Alignable) -> Alignment:
    """Find the affine map from one picture to another one, turned or not, but not mirrored."""
    if one.plain or other.plain:
        return NO_ALIGNMENT
    matches: Any = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(one.keypoints.descriptors, other.keypoints.descriptors, k=2)
    near = [pair[0] for pair in matches if len(pair) == 2 and pair[0].distance < RATIO * pair[1].distance]
    if len(near) < LEAST_INLIERS:
        return NO_ALIGNMENT
    start = one.keypoints.places[[match.queryIdx for match in near]]
    end = other.keypoints.places[[match.trainIdx for match in near]]
    # OpenCV's RANSAC begins with the same random numbers at each call.
    found: Any = cv2.estimateAffine2D(start, end, ransacReprojThreshold=REPROJECTED_PX, maxIters=500)
    affine, agree = found
    inliers = 0 if agree is None else int(agree.sum())
    if affine is None or inliers < LEAST_INLIERS or not _is_plausible(affine):
        return Alignment(inliers, 0.0, 0)
    degrees = -np.degrees(np.arctan2(affine[1, 0] - affine[0, 1], affine[0, 0] + affine[1, 1]))  # y points down
    return Alignment(inliers, _correlate(one.details(), other.details(), affine), round(degrees / 90) % 4)


def _find_keypoints(grey: NDArray[np.uint8]) -> Keypoints:
    orb = cv2.ORB.create(nfeatures=KEYPOINTS, edgeThreshold=15, fastThreshold=8)
    found, descriptors = orb.detectAndCompute(grey, None)
    places = np.array([point.pt for point in found], np.float32).reshape(-1, 2)
    return Keypoints(places, np.zeros((0, 32), np.uint8) if descriptors is None else np.asarray(descriptors, np.uint8))


def _is_plausible(affine: NDArray[np.float64]) -> bool:
    """Whether a map neither mirrors nor crushes."""
    lengths = np.linalg.svd(affine[:, :2], compute_uv=False)
    return bool(np.linalg.det(affine[:, :2]) > 0 and lengths[1] >= STRETCH[0] and lengths[0] <= STRETCH[1])


def _correlate(one: NDArray[np.float32], other: NDArray[np.float32], affine: NDArray[np.float64]) -> float:
    """Correlate the details of two pictures where a map lays one on the other; 0 where too little overlaps."""
    scaled = affine.copy()
    # A pixel h of a picture of half the size lies at 2 h + 1/2 of the full one.
    scaled[:, 2] = (affine[:, :2] @ [0.5, 0.5] + affine[:, 2] - 0.5) / 2
    size = other.shape[1], other.shape[0]
    laid = cv2.warpAffine(one, scaled, size)
    covered = cv2.warpAffine(np.ones_like(one, np.uint8), scaled, size, flags=cv2.INTER_NEAREST) > 0
    if covered.mean() < LEAST_SHARE:
        return 0.0
    x, y = laid[covered], other[covered]
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm else 0.0
