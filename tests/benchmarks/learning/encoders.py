"""Encoders of the learning benchmark: sources -> small pixels, exemplars -> vectors of a real, pretrained network.

The features are EfficientNet-Lite0's, trained on ImageNet. They are no CLIP features, and are never called so.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.encoders.efficientnet import PUBLISHED, load_efficientnet
from pipeline.encoders.pixels import unit_pixels

# Blocks of EfficientNet-Lite0 that end in a batch norm without a skip, and the side of the grid that each is averaged
# to: colours and layout from the first, the kind of object from the last.
GRIDS = {0: 4, 3: 2, 15: 1}
_CHANNELS = {0: 16, 3: 40, 15: 320}


@dataclass(frozen=True)
class PixelEncoder:
    """The source itself, averaged over squares of `factor` px: a SourceEncoder without weights.

    Stable Diffusion's latents are scaled to a standard deviation of 1; here doubling brings it from 0.44 to 0.87.
    """

    factor: int = 8
    scale: float = 2.0

    name = "pixels"
    channels = 3

    @property
    def fingerprint(self) -> str:
        return f"mean over {self.factor} x {self.factor} px, times {self.scale}"

    def encode(self, images: torch.Tensor) -> NDArray[np.float16]:
        """[b, 3, h, w] in [-1, 1] -> [b, 3, h / factor, w / factor] in [-scale, scale]."""
        means = torch.nn.functional.avg_pool2d(images, self.factor)
        latents: NDArray[np.float16] = (self.scale * means).half().numpy()
        return latents


class EfficientNetEncoder:
    """Averages over coarse grids of EfficientNet-Lite0's features, each channel standardised by its batch norm."""

    name = "efficientnet-lite0"
    dimension = sum(_CHANNELS[block] * side**2 for block, side in GRIDS.items())

    def __init__(self) -> None:
        self._network = load_efficientnet(self.name).to(memory_format=torch.channels_last)
        self.fingerprint = f"{PUBLISHED[self.name].sha256} {GRIDS}"

    @torch.inference_mode()
    def encode(self, exemplars: NDArray[np.uint8]) -> NDArray[np.float16]:
        """[b, 224, 224, 3] RGB -> [b, dimension]."""
        network = self._network
        images = (unit_pixels(exemplars) * 255 - 127) / 128  # as the network was trained
        hidden = network._swish(network._bn0(network._conv_stem(images.to(memory_format=torch.channels_last))))
        parts = []
        for number, block in enumerate(network._blocks):
            hidden = block(hidden)
            if number in GRIDS:
                norm = block._bn2
                grid = torch.nn.functional.adaptive_avg_pool2d(hidden, GRIDS[number])
                standard = (grid - norm.bias[:, None, None]) / norm.weight[:, None, None]
                parts.append(standard.flatten(1))
        vectors: NDArray[np.float16] = torch.cat(parts, dim=1).half().numpy()
        return vectors
