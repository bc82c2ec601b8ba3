"""Specs: clip=DIR, dino=DIR, efficientnet-lite0 ... -> what each is, or why it cannot be opened. Imports no torch."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors

from pbe.evaluation.metrics.encoders.names import CLIP_PROJECTION, VIT_FAMILIES, clip_name, vit_name
from pipeline.encoders.efficientnet import LITE0, LITE2, refuse_missing_packages
from pipeline.encoders.facts import CLIP_TYPES, find_config, read_config
from pipeline.encoders.names import UNTRAINED
from pipeline.errors import InputError
from pipeline.tensors.weight_files import INDEX_SUFFIX, SAFE, find_weights, read_index

CLIP, DINO = "clip", "dino"
PROJECTION = "visual_projection.weight"
EFFICIENTNETS = {LITE0: "EfficientNet-Lite0", LITE2: "EfficientNet-Lite2"}
_FORMS = f"{CLIP}=DIR, {DINO}=DIR (or a hub id for DIR), {', '.join(EFFICIENTNETS)}"
COMPLETE_CLIP = "give a complete CLIP, such as openai/clip-vit-base-patch32"
PART = "image_encoder"  # where the folder of a whole pipeline keeps its tower


@dataclass(frozen=True)
class Spec:
    """An encoder as a flag names it.

    Args:
        kind: CLIP, DINO, or a key of EFFICIENTNETS.
        place: a folder, a hub id or `untrained`; empty for EfficientNets.
    """

    kind: str
    place: str = ""

    @property
    def label(self) -> str:
        """The folder's or repository's own name."""
        return Path(self.place.partition(":")[0]).resolve().name


def read_spec(spec: str) -> Spec:
    """Read what a flag says.

    Raises:
        InputError: it has no such form.
    """
    kind, equals, place = spec.partition("=")
    if (kind in (CLIP, DINO) and place) or (kind in EFFICIENTNETS and not equals):
        return Spec(kind, place)
    raise InputError(f"encoder {spec!r}: has none of the forms {_FORMS}; give one of these")


def check_encoder(spec: str) -> str:
    """Refuse what `open_encoder` could not open, without torch, and without reading weights.

    Returns:
        The encoder's name, as far as its config tells: weights that have learned nothing add `untrained`.

    Raises:
        InputError: with the remedy.
    """
    read = read_spec(spec)
    if read.kind in EFFICIENTNETS:
        refuse_missing_packages(read.kind)
        return EFFICIENTNETS[read.kind]
    if read.place == UNTRAINED:
        return f"{UNTRAINED} {'CLIP' if read.kind == CLIP else 'ViT'}"
    path = find_config(read.kind, read.place, PART)
    name = config_name(read, read_config(read.kind, read.place, path))
    weights = find_weights(path.parent)
    if read.kind == CLIP and weights is not None:  # those of a hub may not be here yet
        refuse_no_projection(spec, _tensor_names(weights))
    return name


def config_name(spec: Spec, config: dict[str, Any]) -> str:
    """Name a tower by its config.json.

    Raises:
        InputError: it is not a tower of the kind that the spec says.
    """
    kind, what = config.get("model_type"), f"{spec.kind}={spec.place}"
    if spec.kind == DINO and kind not in VIT_FAMILIES:
        raise InputError(f"{what}: model type {kind}; give a folder of one of {', '.join(VIT_FAMILIES)}")
    if spec.kind == CLIP and kind not in CLIP_TYPES:
        raise InputError(f"{what}: model type {kind}; {COMPLETE_CLIP}")
    tower: Any = config.get("vision_config") if kind == "clip" else config
    try:
        projection = config.get("projection_dim", CLIP_PROJECTION)
        return vit_name(config, spec.label) if spec.kind == DINO else clip_name(dict(tower), projection)
    except (TypeError, ValueError) as error:  # lists and texts in the place of numbers
        raise InputError(f"{what}: its config.json does not describe a tower ({error}); copy it again") from error


def refuse_no_projection(spec: str, names: Collection[str] | None) -> None:
    """Refuse a CLIP tower without its projection.

    Args:
        names: of its tensors; None: only reading the file would tell.

    Raises:
        InputError: it has none.
    """
    if names is not None and PROJECTION not in names:
        raise InputError(f"{spec}: has no {PROJECTION}, without which its vectors are not CLIP's; {COMPLETE_CLIP}")


def _tensor_names(weights: Path) -> Collection[str] | None:
    if weights.suffix == INDEX_SUFFIX:
        return read_index(weights)
    if weights.suffix != SAFE:
        return None
    try:
        with safetensors.safe_open(weights, framework="np") as file:
            return set(file.keys())
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{weights}: is not a complete safetensors file ({error}); copy it again") from error
