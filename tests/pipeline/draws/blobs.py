"""Masks of random pieces, and how much two masks have in common."""

import cv2
import numpy as np


def blobs(seed: int, height: int, width: int, *, grain: int, share: float) -> np.ndarray:
    """A mask of several pieces with holes."""
    noise = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), grain)
    return (smooth > np.quantile(smooth, 1 - share)).astype(np.uint8)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())
