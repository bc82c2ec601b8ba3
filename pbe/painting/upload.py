"""Upload: what a browser's editor of pictures sends -> paths of files, none of them opened here.

gradio's editor decodes each picture, whatever its size, before a function of ours is called. It is made to hand on
where they lie: `pbe.painting.door` has checked that this is in the folder of uploads. (A class of our own would do, but
gradio writes a file beside the module of each one.)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr


@dataclass(frozen=True)
class Sent:
    """Files of one editor; None: there is none."""

    picture: Path | None = None
    brushed: Path | None = None
    """Of the picture's size, transparent where the brush was not."""


def hand_on_files() -> None:
    """Make every editor give functions a `Sent`, and take nothing that would be held in memory."""
    gr.ImageEditor.preprocess = _sent
    gr.ImageEditor.accept_blobs = None  # its route is closed by that; pages send files


def _sent(editor: Any, payload: Any) -> Sent:
    """Name the files of a background and its first layer; their composite is not needed."""
    if payload is None:
        return Sent()
    layers = [layer for layer in payload.layers[:1] if layer]
    return Sent(_path(payload.background), _path(layers[0]) if layers else None)


def _path(file: Any) -> Path | None:
    return Path(file.path) if file else None
