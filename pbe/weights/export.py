"""Export: a model's state and its encoders -> a folder that diffusers, or at least this project, can load.

diffusers' Paint by Example folder where the parts fit it; else the same with the conditioner in a folder of its own.
Both carry `pbe.json`, which records the layout, whether the weights are raw or their moving average, and, of a model
of velocities, what it predicts; diffusers reads that in its own scheduler config.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from pbe.model.paint_by_example import ModelConfig, PaintByExample
from pbe.model.prediction import DIFFUSERS_NAMES, Prediction
from pbe.model.schedule import NOISE_SCHEDULE
from pbe.model.unet import build_unet
from pbe.weights.hole_sides import HOLE_SIDES
from pbe.weights.misfits import diffusers_misfits
from pbe.weights.own_note import FORMATS, NOTE_FILE, SCHEDULER_CONFIG
from pipeline.encoders.clip import CLIP_MEAN, CLIP_STD
from pipeline.encoders.libraries import diffusers
from pipeline.errors import InputError
from pipeline.storage.whole_files import folder_aside
from pipeline.tensors.fitting import differences, refuse_not_finite
from pipeline.tensors.names import Tensors, plain_tower, under
from pipeline.tensors.reading import disk_errors, write_tensors

Layout = Literal["diffusers", "pbe"]
_BICUBIC = 3  # Pillow's number
PNDM_CONFIG = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": diffusers.__version__,
    **NOISE_SCHEDULE,
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "clip_sample": False,  # for other schedulers, made from this config
}
_MODEL_INDEX = {
    "_class_name": "PaintByExamplePipeline",
    "_diffusers_version": diffusers.__version__,
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "image_encoder": ["paint_by_example", "PaintByExampleImageEncoder"],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def export_model(
    out: Path,
    state: Tensors,
    config: ModelConfig,
    *,
    vae: Any | None,
    tower: Any | None,
    weights: Literal["raw", "ema", "unknown"],
    step: int | None,
    layout: Layout | None = None,
    encoders: Mapping[str, str] | None = None,
    hole_sides: Mapping[str, float] | None = None,
    average: Mapping[str, Any] | None = None,
    prior: bool = False,
) -> Layout:
    """Write a model folder, aside first, in place of an older one.

    Args:
        state: the complete state dict of a PaintByExample, names `unet.*` and `conditioner.*`; saved bit by bit.
        vae: the diffusers VAE, or None.
        tower: the transformers CLIPVisionModel, or None.
        weights: which weights `state` holds, raw or their moving average.
        step: optimiser steps behind them; None: unknown.
        layout: None: diffusers' where the parts fit, else ours.
        encoders: names and fingerprints of the dataset's encoders, recorded.
        hole_sides: of the training, recorded; see `pbe.weights.hole_sides`. None: unknown.
        average: `decay` and `updates` behind a moving average, recorded. None: unknown, or it is none.
        prior: the steps began from given weights (--init-from), recorded.

    Returns:
        The layout written.

    Raises:
        InputError: diffusers' layout was asked for and cannot hold the model, or numbers are not finite; says which.
        ValueError: `state` is not the complete state of such a model.
        OSError: it cannot be written; what was there stays.
    """
    _refuse_partial(out, state, config)
    for what, tensors in (("model", state), ("VAE", vae and vae.state_dict()), ("tower", tower and tower.state_dict())):
        refuse_not_finite(tensors or {}, f"{out}: {what} to write")
    reasons = diffusers_misfits(config, vae=vae, tower=tower)
    if layout == "diffusers" and reasons:
        raise InputError(f"{out}: diffusers' layout cannot hold this model: {'; '.join(reasons)}. Export without it")
    written: Layout = layout or ("pbe" if reasons else "diffusers")
    with disk_errors(out), folder_aside(out) as aside:
        _write_unet(aside / "unet", under(state, "unet."), config)
        if vae is not None:
            vae.save_pretrained(aside / "vae", safe_serialization=True)
        if written == "diffusers":
            _write_diffusers_parts(aside, under(state, "conditioner."), config, tower)
        else:
            _write_own_parts(aside, under(state, "conditioner."), tower)
        note: dict[str, Any] = {
            "format": FORMATS[config.prediction],
            "layout": written,
            "weights": weights,
            "step": step,
            "bottleneck": config.bottleneck,
            "encoders": dict(encoders or {}),
        }
        note |= ({"average": dict(average)} if average else {}) | ({"prior": True} if prior else {})
        note |= _unless_noise(config.prediction, {"prediction": config.prediction})
        _write_json(aside / NOTE_FILE, note | ({HOLE_SIDES: dict(hole_sides)} if hole_sides else {}))
    return written


def _refuse_partial(out: Path, state: Tensors, config: ModelConfig) -> None:
    with torch.device("meta"):
        faults = differences(PaintByExample(config), state)
    if faults:
        raise ValueError(f"{out}: not a complete model's state: {'; '.join(faults)}; gather all shards first")


def _write_unet(folder: Path, state: Tensors, config: ModelConfig) -> None:
    with torch.device("meta"):
        build_unet(config.unet).save_config(folder)
    _write_tensors(folder / "diffusion_pytorch_model.safetensors", state)


def _write_own_parts(folder: Path, conditioner: Tensors, tower: Any | None) -> None:
    _write_tensors(folder / "conditioner" / "model.safetensors", conditioner)
    if tower is not None:
        tower.save_pretrained(folder / "image_encoder", safe_serialization=True)


def _write_diffusers_parts(folder: Path, conditioner: Tensors, config: ModelConfig, tower: Any) -> None:
    encoder = {f"model.vision_model.{key}": value for key, value in plain_tower(tower.state_dict()).items()}
    _write_tensors(folder / "image_encoder" / "model.safetensors", {**conditioner, **encoder})
    encoder_config = copy.deepcopy(tower.config)
    encoder_config.projection_dim = config.conditioner.cross_dim
    encoder_config.architectures = ["PaintByExampleImageEncoder"]
    encoder_config.save_pretrained(folder / "image_encoder")
    named = _unless_noise(config.prediction, {"prediction_type": DIFFUSERS_NAMES[config.prediction]})
    _write_json(folder / SCHEDULER_CONFIG, PNDM_CONFIG | named)
    _write_json(folder / "feature_extractor" / "preprocessor_config.json", _clip_preprocessing(tower.config.image_size))
    _write_json(folder / "model_index.json", _MODEL_INDEX)


def _unless_noise(prediction: Prediction, said: dict[str, str]) -> dict[str, str]:
    """What a model's files say of its prediction: nothing where it is noise, as before there was a choice."""
    return {} if prediction == "epsilon" else said


def _clip_preprocessing(image_size: int) -> dict[str, Any]:
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": image_size},
        "resample": _BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": image_size, "width": image_size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
    }


def _write_tensors(path: Path, state: Tensors) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    write_tensors(path, plain, metadata={"format": "pt"})


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
