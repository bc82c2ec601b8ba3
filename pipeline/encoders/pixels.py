"""Pixels: uint8 pictures -> the tensors that encoders take, the hole blanked, the size fitted; and back."""

import numpy as np
import torch
from numpy.typing import NDArray


def unit_pixels(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """[b, h, w, 3] uint8 -> [b, 3, h, w] float32 in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def signed(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """[b, h, w, 3] uint8 -> [b, 3, h, w] float32 in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def byte_pixels(images: torch.Tensor) -> NDArray[np.uint8]:
    """[b, 3, h, w] in [0, 1], rounded -> [b, h, w, 3] uint8."""
    return (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def fit_to_encoder(images: torch.Tensor, size: int) -> torch.Tensor:
    """Resize squares to an encoder's own size, with antialias: [b, 3, s, s] -> [b, 3, size, size]."""
    if images.shape[-1] == size:
        return images
    return torch.nn.functional.interpolate(images, (size, size), mode="bilinear", antialias=True)


def blank_signed(images: torch.Tensor, masks: NDArray[np.uint8]) -> torch.Tensor:
    """Blank the hole: images [b, 3, h, w] in [-1, 1], masks [b, h, w] with 1 = repaint -> 0 in the hole."""
    return images * (1 - torch.from_numpy(masks)[:, None].float())
