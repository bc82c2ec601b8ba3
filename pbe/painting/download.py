"""Download: a painting's folder -> one zip file to keep, and the command that makes the same pictures again."""

import shlex
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pbe.editing.config import EditConfig
from pbe.editing.ending import command_of
from pbe.painting.asked import CASES, EXEMPLAR, MASK, NAME, SOURCE
from pipeline.encoders.names import absolute_name

ZIP = "painting.zip"
WRITTEN = (1980, 1, 1, 0, 0, 0)  # of every file: equal pictures give equal bytes


def pack(folder: Path, pictures: Sequence[str], record: str) -> Path:
    """Write painting.zip into a painting's folder: pictures, inputs, their table, and the record.

    The record is that of `pbe.edit --cases`, by which `dashboards/browse.py` shows the unpacked folder.

    Args:
        pictures: names of their files.
        record: name of its file.
    """
    packed = folder / ZIP
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # pictures are compressed already
        for name in (*pictures, SOURCE, MASK, EXEMPLAR, record, CASES):
            archive.writestr(zipfile.ZipInfo(name, WRITTEN), (folder / name).read_bytes())
    return packed


def command_again(config: EditConfig) -> str:
    """Write the command that makes the same pictures, in the folder of the unpacked inputs, wherever that is."""
    given = replace(config, cases="", source=SOURCE, mask=MASK, exemplar=EXEMPLAR, out=f"{NAME}-again.png")
    model, vae, clip = (absolute_name(name) for name in (config.model, config.vae, config.clip))
    python, *words = shlex.split(command_of(replace(given, model=model, vae=vae, clip=clip)))
    return shlex.join([python if python == "python" else sys.executable, *words])
