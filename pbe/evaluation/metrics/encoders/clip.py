"""CLIP: a folder or hub id -> its tower and projection as an encoder, by transformers."""

from typing import Any

import torch

from pbe.evaluation.metrics.encoders.names import clip_name
from pbe.evaluation.metrics.encoders.network import NetworkEncoder, encoder_of
from pbe.evaluation.metrics.encoders.preparation import Preparation
from pbe.evaluation.metrics.encoders.specs import PART, PROJECTION, Spec, config_name, refuse_no_projection
from pipeline.encoders.building import described, fit_tower, tower_prefix
from pipeline.encoders.clip import CLIP_MEAN, CLIP_STD
from pipeline.encoders.facts import read_config
from pipeline.encoders.libraries import transformers
from pipeline.encoders.names import UNTRAINED
from pipeline.encoders.reading import encoder_folder
from pipeline.encoders.untrained import untrained_projecting_clip
from pipeline.tensors.fitting import refuse_differences
from pipeline.tensors.names import plain_tower, under
from pipeline.tensors.reading import read_part

_DECISIVE = ("hidden_act", "image_size", "layer_norm_eps", "num_attention_heads", "patch_size")


def open_clip(spec: Spec, *, device: str, dtype: str) -> NetworkEncoder:
    """Open a CLIP: the class token after the last layer norm, projected, not normalised, which CLIP calls encode_image.

    Raises:
        InputError: it is missing, damaged, no CLIP, or has no projection.
    """
    model = untrained_projecting_clip() if spec.place == UNTRAINED else _load(spec)
    config = model.config.to_dict()
    state = model.state_dict()
    side, dimension = config["image_size"], config["projection_dim"]
    return encoder_of(
        model,
        kind=spec.kind,
        name="CLIP" if spec.place == UNTRAINED else clip_name(config, dimension),
        facts={key: config[key] for key in _DECISIVE},
        weights={**plain_tower(under(state, "vision_model.")), PROJECTION: state[PROJECTION]},
        dimension=dimension,
        preparation=Preparation(side, side, CLIP_MEAN, CLIP_STD),
        features=lambda images: model(pixel_values=images).image_embeds,
        device=device,
        dtype=dtype,
    )


def _load(spec: Spec) -> Any:
    folder = encoder_folder(spec.kind, spec.place, PART)
    content = read_config(spec.kind, spec.place, folder / "config.json")
    config_name(spec, content)
    tensors, what = read_part(folder), f"{spec.kind} {spec.place}"
    refuse_no_projection(what, tensors)
    with described(what):
        config = transformers.CLIPVisionConfig.from_pretrained(folder)
        config.projection_dim = int(content.get("projection_dim", config.projection_dim))
    with described(what), torch.device("meta"):
        tower = fit_tower(plain_tower(tensors), config, what)
        sketch = transformers.CLIPVisionModelWithProjection(config)
    plain = under(tower, "vision_model.") or tower
    prefix = tower_prefix(sketch)
    state = {f"{prefix}{key}": tensor for key, tensor in plain.items()} | {PROJECTION: tensors[PROJECTION]}
    refuse_differences(sketch, state, what)
    return transformers.CLIPVisionModelWithProjection.from_pretrained(
        None, config=config, state_dict=state, dtype=torch.float32
    )
