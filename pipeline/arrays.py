"""Arrays: what the arrays and tuples that cross modules mean. Each alias is defined once, here."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # [h, w, 3], RGB, 0..255
Mask = NDArray[np.uint8]  # [h, w], 1 = repaint, 0 = keep
Hole = NDArray[np.bool_]  # [h, w], True = repaint: a mask to index with
Polygon = NDArray[np.float32]  # [n, 2], x y pairs, shares of the crop (0..1)
Box = tuple[float, float, float, float]  # x_min y_min x_max y_max, shares of the photo (0..1)
Sides = tuple[float, float, float, float]  # x_min y_min x_max y_max, px of the photo, not rounded
PixelBox = tuple[int, int, int, int]  # left top right bottom, whole px, right and bottom exclusive
