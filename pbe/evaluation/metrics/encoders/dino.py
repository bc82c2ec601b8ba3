"""DINO: the folder or hub id of a vision transformer -> an encoder, by transformers. No code of the folder is run."""

from pathlib import Path
from typing import Any

import torch

from pbe.evaluation.metrics.encoders.names import vit_name
from pbe.evaluation.metrics.encoders.network import NetworkEncoder, encoder_of
from pbe.evaluation.metrics.encoders.preparation import BICUBIC, Preparation, Three
from pbe.evaluation.metrics.encoders.specs import PART, Spec, config_name
from pipeline.encoders.building import described, refuse_deep
from pipeline.encoders.facts import read_config
from pipeline.encoders.fingerprints import lasting
from pipeline.encoders.libraries import transformers
from pipeline.encoders.names import UNTRAINED
from pipeline.encoders.reading import encoder_folder
from pipeline.encoders.untrained import untrained_vit
from pipeline.errors import InputError
from pipeline.tensors.fitting import refuse_not_finite
from pipeline.tensors.reading import read_part

PREPROCESSOR = "preprocessor_config.json"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_SHORTER, _SIDE = 256, 224  # as DINO is evaluated
_LARGEST_PX = 4096
_FIXED = "vit"  # this type alone has one size of pictures, and a pooler that DINO does not train


def open_dino(spec: Spec, *, device: str, dtype: str) -> NetworkEncoder:
    """Open a vision transformer: the class token after the last layer norm.

    Raises:
        InputError: it is missing, damaged, or of no known type.
    """
    what = f"{spec.kind} {spec.place}"
    if spec.place == UNTRAINED:
        model, prepared, content = untrained_vit(), {}, {}
        weights = model.state_dict()
    else:
        folder = encoder_folder(spec.kind, spec.place, PART, extra=[PREPROCESSOR])
        content = read_config(spec.kind, spec.place, folder / "config.json")
        config_name(spec, content)
        weights = read_part(folder)
        model, prepared = _build(weights, content, what), _read_preprocessor(spec, folder)
    config = model.config.to_dict()
    with described(f"{what}: {PREPROCESSOR}"):
        preparation = _preparation(prepared, config)
    return encoder_of(
        model,
        kind=spec.kind,
        name="ViT" if spec.place == UNTRAINED else vit_name(config, spec.label),
        facts=lasting(content),
        weights=weights,
        dimension=config["hidden_size"],
        preparation=preparation,
        features=lambda images: model(pixel_values=images).last_hidden_state[:, 0],
        device=device,
        dtype=dtype,
    )


def _build(tensors: dict[str, torch.Tensor], content: dict[str, Any], what: str) -> Any:
    """Build the transformer, without the heads that were trained on it."""
    refuse_not_finite(tensors, what)
    further = {"add_pooling_layer": False} if content["model_type"] == _FIXED else {}
    with described(what):
        refuse_deep(content)
        config = transformers.AutoConfig.for_model(**content)
        kind = transformers.AutoModel._model_mapping[type(config)]
        with torch.device("meta"):
            kind(config, **further)  # a config that describes no model ends here, before memory is taken
        model, loading = kind.from_pretrained(
            None, config=config, state_dict=tensors, output_loading_info=True, dtype=torch.float32, **further
        )
    missing = sorted(loading["missing_keys"])
    if missing:
        raise InputError(f"{what}: lacks {len(missing)} tensors, such as {missing[0]}; copy the model again")
    return model


def _read_preprocessor(spec: Spec, folder: Path) -> dict[str, Any]:
    path = folder / PREPROCESSOR
    return read_config(spec.kind, spec.place, path) if path.is_file() else {}


def _preparation(given: dict[str, Any], config: dict[str, Any]) -> Preparation:
    """Prepare pictures as a preprocessor's config says, where it says something, but keep their aspect.

    Raises:
        ValueError, TypeError, KeyError: it says nothing that makes sense.
    """
    size = _px(given.get("size", _SHORTER))
    side = _px(given.get("crop_size", _SIDE)) if given.get("do_center_crop", not given) else size
    if config["model_type"] == _FIXED:
        side = _px(config["image_size"])
    if not 0 < side <= _LARGEST_PX or not 0 < size <= _LARGEST_PX:
        raise ValueError(f"{size} or {side} px")
    mean, std = _three(given.get("image_mean", _MEAN)), _three(given.get("image_std", _STD))
    if min(std) <= 0:
        raise ValueError(f"image_std {std}")
    return Preparation(side, max(side, size), mean, std, int(given.get("resample", BICUBIC)))


def _three(values: Any) -> Three:
    red, green, blue = map(float, values)
    return red, green, blue


def _px(size: Any) -> int:
    """Read px: a number, or a mapping as preprocessors have it."""
    if isinstance(size, dict):
        size = size["shortest_edge"] if "shortest_edge" in size else size["height"]
    return int(size)
