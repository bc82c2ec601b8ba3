"""Own note: a folder of weights -> what pbe.json in it, and diffusers' scheduler config, say. Imports no torch."""

from pathlib import Path
from typing import Any, get_args

from pbe.model.prediction import DIFFUSERS_NAMES, Prediction
from pbe.weights.hole_sides import HOLE_SIDES, is_summary
from pbe.weights.model_files import FORMS, is_paint_by_example, read_json
from pipeline.errors import InputError

NOTE_FILE = "pbe.json"
CONDITIONER = "conditioner"
SCHEDULER_CONFIG = "scheduler/scheduler_config.json"
FORMATS: dict[Prediction, int] = {"epsilon": 1, "v": 2}
"""Of NOTE_FILE. Code that knows format 1 alone takes every model for one of noise: it must refuse one of velocities."""
ONLY_NOISE = "it predicts velocities (v), the original code only noise"
_OWN_NAMES = {
    *("unet", "vae", "image_encoder", CONDITIONER, "scheduler", "feature_extractor", "safety_checker"),
    *("model_index.json", NOTE_FILE),
}


def read_note(folder: Path) -> dict[str, Any]:
    """Read what `pbe.weights.export` recorded; empty if nothing was.

    Raises:
        InputError: it is damaged, or written by a later version, or missing in our own layout, which never lacks it.
    """
    path = folder / NOTE_FILE
    if not path.is_file():
        if (folder / CONDITIONER).is_dir():
            raise InputError(f"{path}: is missing, which says what the UNet predicts; copy the model's folder again")
        return {}
    note = read_json(path)
    sound = (
        note.get("format") in FORMATS.values()
        and (note["format"] == FORMATS["epsilon"] or note.get("prediction") in get_args(Prediction))
        and note.get("weights") in ("raw", "ema", "unknown")
        and (note.get("step") is None or type(note["step"]) is int)
        and isinstance(note.get("bottleneck"), bool)
        and isinstance(note.get("encoders"), dict)
        and isinstance(note.get("average", {}), dict)
        and isinstance(note.get("prior", False), bool)
        and (note.get(HOLE_SIDES) is None or is_summary(note[HOLE_SIDES]))
    )
    if not sound:
        raise InputError(f"{path}: is not a note of format 1 or 2; copy the model's folder again")
    return note


def read_prediction(folder: Path) -> Prediction:
    """Read what a folder's UNet predicts: noise, as Stable Diffusion v1's, where nothing says otherwise.

    pbe.json says so from format 2 on, and diffusers' scheduler config as `prediction_type`.

    Raises:
        InputError: it is neither noise nor velocity, or the two files contradict each other; names the setting.
    """
    noted: Prediction | None = read_note(folder).get("prediction")
    path = folder / SCHEDULER_CONFIG
    if not path.is_file():
        return noted or "epsilon"
    named = read_json(path).get("prediction_type", DIFFUSERS_NAMES["epsilon"])
    for prediction, name in DIFFUSERS_NAMES.items():
        if named == name and noted in (None, prediction):
            return prediction
    remedy = f"give a model with {' or '.join(map(repr, DIFFUSERS_NAMES.values()))}"
    if noted:
        remedy = f"{NOTE_FILE} beside it says {noted}; copy the model's folder again"
    raise InputError(f"{path}: prediction_type is {named!r}; {remedy}")


def refuse_no_conditioner(source: str, folder: Path) -> None:
    """Refuse a folder of Stable Diffusion, which cannot edit by example.

    Args:
        folder: from the hub it holds configs alone, of which a conditioner in our own layout has none.

    Raises:
        InputError: naming the forms that can.
    """
    if not is_paint_by_example(folder) and read_note(folder).get("layout") != "pbe":
        raise InputError(f"{source}: has no exemplar conditioner, so it cannot edit by example; {FORMS}")


def is_own(folder: Path) -> bool:
    """Whether all that a folder holds, if anything, was written here, so that it may be replaced."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return not names or (names <= _OWN_NAMES and NOTE_FILE in names and bool(read_note(folder)))
