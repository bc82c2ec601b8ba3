"""Finite: what a part of the model gave -> nothing, or which part gave numbers that are not finite, and what to try."""

from typing import Literal

import torch

from pipeline.errors import InputError

Part = Literal[
    "VAE's encoder", "VAE's decoder", "exemplar encoder", "CLIP vision tower", "CLIP text tower", "conditioner", "UNet"
]


class NotFiniteError(InputError):
    """A part of the model gave numbers that are not finite: the message names it, and says what to try.

    Args:
        dtype: that it computes in.
        where: more about what it computed.
    """

    def __init__(self, part: Part, dtype: torch.dtype, where: str = "") -> None:
        self.part: Part = part
        try_next = "try --dtype float32"
        if dtype == torch.float32:
            try_next = "its weights are damaged, or not of this model: get them again, or name others"
        elif part.startswith("VAE"):
            try_next += ", or a --vae made for half precision, such as madebyollin/sdxl-vae-fp16-fix for SDXL's"
        name = str(dtype).removeprefix("torch.")
        super().__init__(f"the {part} gives numbers that are not finite in {name}{where and f' {where}'}; {try_next}")


def refuse_not_finite(values: torch.Tensor, part: Part, dtype: torch.dtype) -> None:
    """Refuse what a part gave if a number of it is not finite.

    Raises:
        NotFiniteError: one is.
    """
    if not torch.isfinite(values).all():
        raise NotFiniteError(part, dtype)


def finite_rows(values: torch.Tensor) -> list[bool]:
    """Whether all numbers of each of [b, ...] are finite: [b]."""
    finite: list[bool] = torch.isfinite(values).flatten(1).all(dim=1).tolist()
    return finite
