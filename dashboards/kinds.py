"""Kinds: a folder -> what it holds: a dataset, a training, an evaluation, or edits."""

from enum import Enum
from pathlib import Path

from dashboards.rows import is_dataset
from pbe.training.run_folder import RECORD
from pipeline.errors import InputError
from pipeline.shards.manifest import RECIPE
from pipeline.storage.folder import Folder
from schemas.scores import EVALUATION


class Kind(Enum):
    """What a folder can hold."""

    DATASET = "dataset"
    TRAINING = "training"
    COMPARISON = "evaluation"
    EDITS = "edits"


def find_kind(folder: Folder) -> Kind:
    """Find out what a folder holds, by a few of its names.

    Raises:
        InputError: there is no such folder, or nothing to look at in it.
    """
    if folder.local and not Path(folder.path("")).is_dir():
        what = "is a file" if Path(folder.url).exists() else "no such folder"
        raise InputError(f"{folder.url}: {what}; give the folder of a dataset, training, evaluation or edits")
    if is_dataset(folder) or folder.read_if_there(RECIPE) is not None:
        return Kind.DATASET
    names = folder.names("")
    if RECORD in names and folder.local:
        return Kind.TRAINING
    if EVALUATION in names:
        return Kind.COMPARISON
    if any(name.endswith((".json", ".png", ".jpg", ".jpeg", ".webp")) for name in names):
        return Kind.EDITS
    raise InputError(
        f"{folder.url}: nothing to look at; give the folder of a dataset (with {RECIPE} or manifest.json in it), of a "
        f"training (with {RECORD}), of an evaluation (with {EVALUATION}), or of edits (`pbe.edit --out FOLDER`)"
    )
