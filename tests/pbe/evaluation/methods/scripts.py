"""Networks of a few operations, as files of TorchScript: what LaMa and DCCF look like from outside."""

from pathlib import Path

import torch


class Fill(torch.nn.Module):
    """Fills the mask with one colour, as an inpainting network fills a hole; elsewhere it is a little off."""

    def __init__(self, colour: tuple[float, float, float]) -> None:
        super().__init__()
        self.register_buffer("colour", torch.tensor(colour).view(1, 3, 1, 1))

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if image.shape[2] % 8 or image.shape[3] % 8:
            raise RuntimeError("sides are no multiples of 8")
        return (image * 0.9 * (1 - mask)) + self.colour * mask


class Darken(torch.nn.Module):
    """Halves what lies in the mask, as a harmonising network changes the foreground."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return image * (1 - 0.5 * mask)


class Broken(torch.nn.Module):
    """Gives numbers that are not finite."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return image / 0


class Half(torch.nn.Module):
    """Gives a picture of another size."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return image[:, :, ::2, ::2]


class Both(torch.nn.Module):
    """Gives two pictures."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return image, image


def write_script(module: torch.nn.Module, file: Path) -> Path:
    torch.jit.script(module).save(str(file))  # type: ignore[no-untyped-call]
    return file
