"""Protocols: the members that make something an encoder; any object that has them will do. Imports no torch."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class Codec(Protocol):
    """Turns sources into latents, for shards and live encoding, and latents into pictures, for edits and grids."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Of weights, config and precision: equal fingerprints, equal latents on one machine type.

        Empty: not computed, in a model that only edits.
        """
        ...

    @property
    def factor(self) -> int:
        """Source px along a latent cell's side."""
        ...

    @property
    def channels(self) -> int: ...

    @property
    def model(self) -> Any:
        """The torch module, which `save_pretrained` writes as a folder that `load_codec` opens."""
        ...

    def encode(self, images: "torch.Tensor") -> NDArray[np.float16]:
        """[b, 3, h, w] float32 in [-1, 1] -> [b, channels, h / factor, w / factor], scaled for the diffusion model."""
        ...

    def latents(self, images: "torch.Tensor") -> "torch.Tensor":
        """Encode likewise, on the encoder's device, without rounding to float16: float32."""
        ...

    def decode(self, latents: "torch.Tensor") -> "torch.Tensor":
        """Scaled latents [b, channels, h, w] -> [b, 3, H, W] float32 in [0, 1]; NaN where they are not finite."""
        ...


class ExemplarEncoder(Protocol):
    """Turns augmented exemplars into vectors. The size of what it looks at, pooling and normalisation are its own."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """As a codec's."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers of a vector, and of a token."""
        ...

    @property
    def layers(self) -> int:
        """Transformer layers, by which diffusers counts the conditioner's blocks; 0: none."""
        ...

    @property
    def model(self) -> Any:
        """The torch module, which `save_pretrained` writes as a folder that `load_exemplar_encoder` opens."""
        ...

    def encode(self, exemplars: NDArray[np.uint8]) -> NDArray[np.float16]:
        """[b, 224, 224, 3] RGB -> [b, dimension], as shards hold them."""
        ...

    def pooled(self, pictures: "torch.Tensor") -> "torch.Tensor":
        """Squares [b, 3, s, s] float32 in [0, 1] -> [b, dimension]: what the information bottleneck lets through."""
        ...

    def tokens(self, pictures: "torch.Tensor") -> "torch.Tensor":
        """Squares likewise -> [b, n, dimension]: the exemplar in parts, without the bottleneck."""
        ...
