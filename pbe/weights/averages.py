"""Averages: raw weights, and their moving average (EMA) beside them -> those that --weights chooses. Imports no torch.

diffusers' training scripts write the average beside the UNet, in `unet_ema/`; published folders have it as the UNet,
with the raw weights beside it as variant `non_ema`. The original code keeps it in the same checkpoint, under the names
of the parameters without their dots; those that were not trained, or not averaged, are not in it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pbe.weights.own_note import read_note
from pipeline.errors import InputError
from pipeline.tensors.weight_files import find_weights, refuse_lost_shards

Choice = Literal["auto", "raw", "ema"]
AVERAGE_FOLDER = "unet_ema"
RAW_VARIANTS = (".non_ema", ".non_ema.fp16")
AVERAGE_PREFIX, _MODEL_PREFIX = "model_ema.", "model."


class ChosenUnet(NamedTuple):
    """Which of a folder's UNets is read."""

    weights: Path | None
    """A file or an index; None: there is none."""
    kind: str
    """raw or ema; empty: nobody says."""
    beside: bool
    """Whether the other kind lies beside it."""


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
    if Path(source).is_dir():
        chosen = choose_unet(folder, read_note(folder), choice, what=source)
        if chosen.weights:
            refuse_lost_shards(chosen.weights)


def average_names(names: Iterable[str]) -> dict[str, str]:
    """Find the average in a checkpoint of the original code: names of parameters -> names of their averages."""
    names = set(names)
    found = {}
    for name in names:
        for start in (_MODEL_PREFIX, ""):  # the average is one of `model`, in later versions perhaps of everything
            average = AVERAGE_PREFIX + name.removeprefix(start).replace(".", "")
            if average in names and not name.startswith(AVERAGE_PREFIX):
                found[name] = average
    return found


def refuse_absent(choice: Choice, what: str, why: str) -> InputError:
    """Describe that the weights which --weights names are not there."""
    return InputError(f"--weights {choice}: {what} has none ({why}); leave --weights out, or give another model")


def describe_choice(kind: str, *, raw: Iterable[str] = ()) -> str:
    """Say which weights were taken where both kinds lie side by side.

    Args:
        raw: what of the model has no average.
    """
    if kind == "raw":
        return "weights: raw; their moving average lies beside them, which --weights ema takes"
    rest = "".join(f"; {part} has none: raw" for part in raw)
    return f"weights: moving average of the UNet{rest}; the raw ones lie beside it, which --weights raw takes"
