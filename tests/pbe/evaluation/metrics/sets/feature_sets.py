"""Feature sets: arithmetic alone -> features, the same under any version of any library."""

import numpy as np
from numpy.typing import NDArray

PAIRS = {
    "more pictures than dimensions": ((300, 16, 1), (200, 16, 2)),
    "fewer pictures than dimensions": ((20, 32, 3), (300, 32, 4)),
    "two dimensions are one": ((300, 12, 5), (250, 12, 6)),
    "means far from 0": ((300, 16, 7), (280, 16, 8)),
}
"""What is odd of a pair of sets -> (pictures, dimensions, seed) of each."""


def features_of(kind: str, n: int, d: int, seed: int) -> NDArray[np.float32]:
    """Make the features [n, d] of one set of a pair, of dimensions that correlate and differ in spread."""
    place = np.arange(n * d, dtype=np.float64).reshape(n, d) + 1000.25 * seed
    noise = np.sin(place * 12.9898) * 43758.5453
    features = (noise - np.floor(noise) - 0.5) * (1 + np.arange(d) / 4) + 0.1 * seed
    features[:, 0] += 0.5 * features[:, -1]
    if kind == "two dimensions are one":
        features[:, 3] = features[:, 7]
    if kind == "means far from 0":
        features += 100
    return features.astype(np.float32)
