"""Protocols: the members that make something an encoder; any object that has them will do. Imports no torch."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class SourceEncoder(Protocol):
    """Turns sources into latents."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Of weights, config and precision: equal fingerprints, equal latents on one machine type."""
        ...

    @property
    def factor(self) -> int:
        """Source px along a latent cell's side."""
        ...

    @property
    def channels(self) -> int: ...

    def encode(self, images: "torch.Tensor") -> NDArray[np.float16]:
        """[b, 3, h, w] float32 in [-1, 1] -> [b, channels, h / factor, w / factor], scaled for the diffusion model."""
        ...


class ExemplarEncoder(Protocol):
    """Turns augmented exemplars into vectors."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, exemplars: NDArray[np.uint8]) -> NDArray[np.float16]:
        """[b, 224, 224, 3] RGB -> [b, dimension]."""
        ...
