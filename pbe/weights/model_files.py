"""Model files: a model's name -> its folder or file, and what its configs say. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.encoders.efficientnet import LITE0, refuse_missing_packages
from pipeline.encoders.facts import EFFICIENTNET_PCA, find_config, read_config
from pipeline.encoders.names import NONE, UNTRAINED, placed
from pipeline.errors import InputError
from pipeline.tensors import configs

FORMS = (
    "give a diffusers folder or hub id of Stable Diffusion v1 or Paint by Example, a .ckpt of the original code, "
    "or a folder written by this project"
)
MODEL, RAW_MODEL = "model", "model-raw"
"""In a training's folder: what it exports; and, where that is the moving average, the raw weights beside it."""
PATHS = "give the path of a diffusers folder, of a .ckpt of the original code, or of a folder written by this project"


def read_json(path: Path) -> dict[str, Any]:
    """Read a config.

    Raises:
        InputError: it is missing, or not a JSON object.
    """
    return configs.read_config(path, what=str(path), remedy=FORMS)


def is_paint_by_example(folder: Path) -> bool:
    """Whether a model's folder is diffusers' Paint by Example."""
    index = folder / "model_index.json"
    return index.exists() and read_json(index).get("_class_name") == "PaintByExamplePipeline"


def encoder_config(flag: str, name: str, part: str) -> dict[str, Any] | None:
    """Read the config of an encoder: of its folder, of a pipeline's folder with that part in it, or from the hub.

    Returns:
        None where there is none to read: no name, one of the words, a checkpoint.

    Raises:
        InputError: nothing is there; names the flag, the value and what to give.
    """
    if name in ("", NONE, UNTRAINED) or Path(placed(name)).is_file():
        return None
    return read_config(flag, name, find_config(flag, name, part))


def refuse_missing_network(exemplars: Mapping[str, Any]) -> None:
    """Refuse an exemplar encoder whose folder holds no network, where the packages that have it are not installed.

    Args:
        exemplars: its config.

    Raises:
        InputError: naming them and the extra that has them.
    """
    if exemplars.get("model_type") == EFFICIENTNET_PCA:
        refuse_missing_packages(LITE0)


def model_folder(folder: Path) -> Path:
    """Find the model in a training's folder.

    Raises:
        InputError: the training has exported none.
    """
    if (folder / "unet").is_dir():
        return folder
    if (folder / MODEL / "unet").is_dir():
        return folder / MODEL
    if (folder / "checkpoints").is_dir():
        raise InputError(f"{folder}: a training without a model yet; write {folder / MODEL} with its --export-only")
    raise InputError(f"{folder}: has no unet folder; {FORMS}")
