"""Untrained: files of weights -> which of them have learned nothing, for the table's notes. Remembered by sizes and
times; imports torch only where a file is read first.
"""

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pbe.evaluation.methods.weight_digests import remembered
from pipeline.errors import InputError

UNTRAINED = "untrained weights"
LEAST_BYTES = 4000  # of the numbers of a network: the smallest that anyone would call so has more
_TOWER = "vision_model."  # of a CLIP; in Paint by Example's folder a mapper lies beside it, which each training trains
_NUMBERS = re.compile(r"/(data|constants)/[^/]+$")  # entries of an archive that torch.jit.save wrote


def note_untrained(parts: Mapping[str, Path | None], *, cache: str) -> tuple[str, ...]:
    """Say which parts of a method hold weights that no training has touched; empty: none that can be told.

    Random numbers in norms, too, cannot be told from trained ones: whoever makes such weights labels their method.

    Args:
        parts: what the table calls each, and its file of weights, or the index of its shards; None: it has none here.
        cache: see `pbe.evaluation.methods.weight_digests.digest_files`.
    """
    named = [part for part, file in parts.items() if file and not _remembered(file, _has_learned, cache)]
    return (f"{UNTRAINED}: {', '.join(named)}",) if named else ()


def note_untrained_scripts(scripts: Mapping[str, Path], *, cache: str) -> tuple[str, ...]:
    """Say which files of TorchScript hold no numbers to speak of, or such that no training has touched."""
    empty = [part for part, file in scripts.items() if _remembered(file, _is_empty, cache)]
    named = [part for part, file in scripts.items() if part not in empty]
    named = [part for part in named if not _remembered(scripts[part], _script_has_learned, cache)]
    said = [f"{', '.join(empty)}: a script of a few operations, not a trained network"] if empty else []
    return (*said, *([f"{UNTRAINED}: {', '.join(named)}"] if named else []))


def _remembered(file: Path, ask: Callable[[Path], bool], cache: str) -> bool:
    return remembered([file], ask.__name__.strip("_"), lambda: ask(file), kind=bool, cache=cache)


def _has_learned(file: Path) -> bool:
    from pipeline.tensors.learning import has_learned, read_norms

    try:
        norms = read_norms(file)
    except InputError:  # says so in each case, when it is loaded
        return True
    tower = {name: tensor for name, tensor in norms.items() if _TOWER in name}
    return has_learned(tower or norms)


def _is_empty(file: Path) -> bool:
    """Whether all numbers of a script take no more than a thousand float32 would."""
    try:
        with zipfile.ZipFile(file) as archive:
            return sum(entry.file_size for entry in archive.infolist() if _NUMBERS.search(entry.filename)) < LEAST_BYTES
    except (OSError, zipfile.BadZipFile):
        return False


def _script_has_learned(file: Path) -> bool:
    import torch

    from pipeline.tensors.learning import has_learned

    load: Any = torch.jit.load
    try:
        return has_learned(load(file, map_location="cpu").state_dict())
    except RuntimeError:  # says so in each case
        return True
