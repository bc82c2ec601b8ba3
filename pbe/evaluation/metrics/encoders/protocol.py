"""Protocol: pictures -> features. What an encoder of metrics is: any object with these members. Imports no torch."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]  # [n, d]
Picture = NDArray[np.uint8] | NDArray[np.float32]
"""[h, w, 3] sRGB: uint8 of any size, or float32 in 0..1, which then is a square of the encoder's own size."""


class FeatureEncoder(Protocol):
    """Turns pictures into features."""

    @property
    def name(self) -> str:
        """What a table calls it, such as `CLIP ViT-B/32`; one that has learned nothing says so."""
        ...

    @property
    def digest(self) -> str:
        """16 hex digits of weights, config and precision: equal digests, equal features."""
        ...

    @property
    def dimension(self) -> int: ...

    @property
    def side(self) -> int:
        """px of the squares that it looks at."""
        ...

    def encode(self, pictures: Sequence[Picture]) -> Features:
        """n pictures -> [n, dimension], not normalised.

        Squares of its own size are taken as they are. Of others the shorter side is resized and the middle cut out, as
        the encoder's training did. The features of a picture do not depend on those beside it. Half precision may give
        numbers that are not finite.
        """
        ...
