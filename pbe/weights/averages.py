"""Averages: raw weights, and their moving average (EMA) beside them -> those that --weights chooses. Imports no torch.

diffusers' training scripts write the average beside the UNet, in `unet_ema/`; published folders have it as the UNet,
with the raw weights beside it as variant `non_ema`. The original code keeps it in the same checkpoint, under the names
of the parameters without their dots; those that were not trained, or not averaged, are not in it. Trainings of this
project write two whole models: `model/`, the average, and `model-raw/` beside it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pbe.weights.model_files import MODEL, RAW_MODEL
from pbe.weights.own_note import read_note
from pipeline.encoders.names import placed
from pipeline.errors import InputError
from pipeline.tensors.weight_files import find_weights, refuse_lost_shards

Choice = Literal["auto", "raw", "ema"]
AVERAGE_FOLDER = "unet_ema"
RAW_VARIANTS = (".non_ema", ".non_ema.fp16")
AVERAGE_PREFIX, _MODEL_PREFIX = "model_ema.", "model."
OF_THE_UNET = " of the UNet"
_MOST_UPDATES = 2**31  # the original code counts in int32


class ChosenUnet(NamedTuple):
    """Which of a folder's UNets is read."""

    weights: Path | None
    """A file or an index; None: there is none."""
    kind: str
    """raw or ema; empty: nobody says."""
    beside: bool
    """Whether the other kind lies beside it."""


def raw_beside(folder: Path) -> Path | None:
    """Find what lies where a training puts the raw weights of the model in a folder; None: nothing."""
    raw = folder.absolute().with_name(RAW_MODEL)
    return raw if folder.absolute().name == MODEL and (raw / "unet").is_dir() else None


def choose_folder(folder: Path, choice: Choice) -> tuple[Path, bool]:
    """Choose between a training's average and the raw weights beside it; `auto`: the average, which is the model.

    Returns:
        The folder to read, and whether the other kind lies beside it.

    Raises:
        InputError: the raw ones are asked for, and what lies there is damaged, or of another export.
    """
    raw, note = raw_beside(folder), read_note(folder)
    if raw is None or note.get("weights") != "ema":
        return folder, False
    try:
        beside = read_note(raw)
    except InputError:
        if choice == "raw":
            raise
        return folder, False
    if (beside.get("weights"), beside.get("step")) == ("raw", note.get("step")):
        return (raw if choice == "raw" else folder), True
    if choice == "raw":
        why = f"{raw} is of another export; write both anew with the training's --export-only"
        raise refuse_absent(choice, str(folder), why)
    return folder, False


def choose_unet(folder: Path, note: Mapping[str, Any], choice: Choice, *, what: str) -> ChosenUnet:
    """Choose a folder's UNet; `auto`: the one in `unet/` under its plain name.

    Args:
        note: pbe.json, which says what our own folders hold.
        what: names the folder in errors.

    Raises:
        InputError: the weights that --weights names are not there.
    """
    plain, raw = find_weights(folder / "unet"), find_weights(folder / "unet", variants=RAW_VARIANTS)
    average = find_weights(folder / AVERAGE_FOLDER)
    if raw or average:
        there = {"raw": raw or plain, "ema": average or plain}
        taken = choice if choice != "auto" else "ema" if raw and not average else "raw"
        return ChosenUnet(there[taken], taken, beside=True)
    kind = str(note["weights"]) if note.get("weights", "unknown") != "unknown" else ""
    if choice != "auto" and choice != (kind or "raw"):
        raise refuse_absent(choice, what, f"it holds {kind} weights" if kind else f"no {AVERAGE_FOLDER}/ lies in it")
    return ChosenUnet(plain, kind, beside=False)


def check_choice(source: str, folder: Path, choice: Choice) -> None:
    """Look, before a model is loaded, for the weights that --weights names; on the hub they are looked for later.

    Raises:
        InputError: they are not there, or not all of their shards.
    """
    if Path(placed(source)).is_dir():
        folder, _ = choose_folder(folder, choice)
        chosen = choose_unet(folder, read_note(folder), choice, what=source)
        if chosen.weights:
            refuse_lost_shards(chosen.weights)


def refuse_single(source: str, folder: Path) -> None:
    """Refuse, before a model is loaded, a local folder that does not hold both kinds of weights.

    Raises:
        InputError: naming what does.
    """
    if not Path(placed(source)).is_dir() or choose_folder(folder, "auto")[1]:
        return
    if not choose_unet(folder, read_note(folder), "auto", what=source).beside:
        raise describe_single(source)


def describe_single(source: str) -> InputError:
    """Describe that a model does not hold both kinds of weights, for which --with-ema asks."""
    return InputError(
        f"--with-ema: {source} does not hold raw weights and their moving average side by side; leave --with-ema out, "
        f"or give the folder of a training that has {MODEL}/ and {RAW_MODEL}/"
    )


def average_name(name: str) -> str:
    """Name the average of a parameter as the original code does, which averages all of its `model`."""
    return AVERAGE_PREFIX + name.removeprefix(_MODEL_PREFIX).replace(".", "")


def average_names(names: Iterable[str]) -> dict[str, str]:
    """Find the average in a checkpoint of the original code: names of parameters -> names of their averages."""
    names = set(names)
    found = {}
    for name in names:
        # The average is one of `model`, in later versions perhaps of everything.
        for average in (average_name(name), AVERAGE_PREFIX + name.replace(".", "")):
            if average in names and not name.startswith(AVERAGE_PREFIX):
                found[name] = average
    return found


def refuse_absent(choice: Choice, what: str, why: str) -> InputError:
    """Describe that the weights which --weights names are not there."""
    return InputError(f"--weights {choice}: {what} has none ({why}); leave --weights out, or give another model")


def sound_counts(found: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what is known of how an average was made: `decay`, 0 to 1, and `updates`, -1 where they were not counted."""
    decay, updates = found.get("decay"), found.get("updates")
    counts: dict[str, Any] = {}
    if isinstance(decay, float | int) and 0 <= decay <= 1:
        counts["decay"] = float(decay)
    if type(updates) is int and -1 <= updates < _MOST_UPDATES:
        counts["updates"] = updates
    return counts


def noted_counts(note: Mapping[str, Any]) -> dict[str, Any]:
    """Say what pbe.json knows of how an average was made; the steps stand for updates that were not counted."""
    return sound_counts({"updates": note.get("step")} | note.get("average", {}))


def describe_choice(kind: str, *, raw: Iterable[str] = (), of: str = "") -> str:
    """Say which weights were taken where both kinds lie side by side.

    Args:
        raw: what of the model has no average.
        of: what was averaged, where that is not all of it.
    """
    if kind == "raw":
        return "weights: raw; their moving average lies beside them, which --weights ema takes"
    rest = "".join(f"; {part} has none: raw" for part in raw)
    return f"weights: moving average{of}{rest}; the raw ones lie beside it, which --weights raw takes"
