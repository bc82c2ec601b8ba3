"""Scripted: a file of TorchScript -> a network from a picture and its mask to a picture. Imports torch where it loads.

TorchScript is code: such a file is opened only because the user names it.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pbe.evaluation.methods.once import Once
from pbe.evaluation.methods.protocol import CaseError
from pipeline.arrays import Hole, Pixels
from pipeline.errors import InputError

_FORM = "give a model saved with torch.jit.save"
UNIT = 8  # px that sides are padded to a multiple of


def refuse_unscripted(file: str, what: str) -> None:
    """Refuse a file that cannot be TorchScript, without reading it.

    Raises:
        InputError: it is missing, or no archive with code.
    """
    if not Path(file).is_file():
        raise InputError(f"{what} {file}: no such file; {_FORM}")
    try:
        with zipfile.ZipFile(file) as archive:
            scripted = any("/code/" in name for name in archive.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{what} {file}: is no TorchScript ({error}); {_FORM}") from error
    if not scripted:
        raise InputError(f"{what} {file}: holds weights without code; {_FORM}")


class ScriptedPainter:
    """A network `(image [1, 3, h, w] float32 in 0..1, mask [1, 1, h, w] of 0 and 1) -> [1, 3, h, w] in 0..1`.

    Args:
        file: of TorchScript.
        what: names it in errors.
    """

    def __init__(self, file: str, what: str, *, device: str) -> None:
        self.file, self._what, self._device = file, what, device
        self._network = Once(self._load)

    def __call__(self, picture: Pixels, mask: Hole) -> Pixels:
        """Run it on a picture of any size, mirrored beyond its edges to a multiple of 8 px.

        Args:
            picture: [h, w, 3] uint8 sRGB.
            mask: [h, w] bool; what True means is the network's business.

        Returns:
            [h, w, 3] uint8 sRGB, what is beyond 0..1 cut off.

        Raises:
            CaseError: the network gives something else, or numbers that are not finite.
        """
        import torch

        height, width = mask.shape
        beyond = ((0, -height % UNIT), (0, -width % UNIT))
        image = np.pad(picture, (*beyond, (0, 0)), mode="symmetric").astype(np.float32) / 255
        hole = np.pad(mask, beyond, mode="symmetric").astype(np.float32)
        with torch.inference_mode():
            painted = self._network()(
                torch.from_numpy(image).permute(2, 0, 1)[None].to(self._device),
                torch.from_numpy(hole)[None, None].to(self._device),
            )
        wanted = (1, 3, *hole.shape)
        if not isinstance(painted, torch.Tensor) or painted.shape != wanted:
            given = list(painted.shape) if isinstance(painted, torch.Tensor) else type(painted).__name__
            raise CaseError(f"{self._what} gives {given}, not a picture {list(wanted)}")
        if not painted.isfinite().all():
            raise CaseError(f"{self._what} gives numbers that are not finite")
        rows = (painted[0].float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(rows[:height, :width])

    def drop(self) -> None:
        """Let go of the network."""
        self._network.drop()

    def _load(self) -> Any:
        import torch

        load: Any = torch.jit.load
        try:
            return load(self.file, map_location=self._device).eval()
        except RuntimeError as error:  # torch has no narrower one
            reason = (str(error).strip() or "RuntimeError").splitlines()[0]
            raise InputError(f"{self._what} {self.file}: cannot be loaded ({reason}); get it again") from error
