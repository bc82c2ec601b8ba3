"""Cutting out: an exemplar -> its object, by rembg where that is installed with a model, else by GrabCut.

rembg's networks (u2net, isnet-general-use) are taken from its own folders; nothing is fetched.
"""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pbe.evaluation.copying.segmenting import segment_exemplar
from pipeline.arrays import Hole, Pixels

HALF = 128  # of 255: what shows more than this is the object
SESSIONS = {"u2net": "u2net_custom", "isnet-general-use": "dis_custom"}  # rembg's readers of a local file


class Cutter(NamedTuple):
    """How exemplars are cut out.

    Args:
        name: for the table's notes, such as `rembg's u2net`.
        model: the network's file; None: there is none.
        cut: [h, w, 3] uint8 -> [h, w] bool, True = the object; loads the network at the first call.
    """

    name: str
    model: Path | None
    cut: Callable[[Pixels], Hole]


def find_cutter() -> Cutter:
    """Choose how exemplars without a mask are cut out, without loading anything."""
    for network, session in SESSIONS.items():
        file = _model_file(network) if importlib.util.find_spec("rembg") else None
        if file:
            return Cutter(f"rembg's {network}", file, _Rembg(session, file))
    return Cutter("GrabCut, not rembg", None, segment_exemplar)


class _Rembg:
    def __init__(self, session: str, file: Path) -> None:
        self._session_name, self._file = session, file
        self._session: Any = None

    def __call__(self, exemplar: Pixels) -> Hole:
        import numpy as np
        import rembg
        from PIL import Image

        self._session = self._session or rembg.new_session(self._session_name, model_path=str(self._file))
        mask: Any = rembg.remove(Image.fromarray(exemplar), session=self._session, only_mask=True)
        return np.asarray(np.asarray(mask) >= HALF)


def _model_file(network: str) -> Path | None:
    """Find a network's file where rembg keeps it, in its new folders or its old one."""
    data = os.environ.get("XDG_DATA_HOME")
    old = Path(os.environ.get("U2NET_HOME") or f"{data or '~'}/.u2net").expanduser()
    home = os.environ.get("U2NET_HOME") or os.environ.get("REMBG_HOME") or (f"{data}/rembg" if data else "~/.rembg")
    places = (Path(home).expanduser() / "models" / network / f"{network}.onnx", old / f"{network}.onnx")
    return next((place for place in places if place.is_file()), None)
