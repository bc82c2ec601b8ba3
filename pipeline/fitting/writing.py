"""Writing: components -> the folders that --vae and --exemplar-encoder take."""

import importlib.metadata
from pathlib import Path
from typing import Any

import torch

from pipeline.encoders.efficientnet import LITE0, PUBLISHED, load_efficientnet, model_package
from pipeline.encoders.efficientnet_pca import EfficientNetPca
from pipeline.encoders.facts import EFFICIENTNET_PCA
from pipeline.encoders.patch_pca import PatchPca
from pipeline.fitting.features import AffineMap
from pipeline.fitting.patches import PatchComponents
from pipeline.storage.whole_files import folder_aside
from pipeline.tensors.fitting import refuse_overflow

STORED = torch.float16  # of the exemplar encoder's weights: half the size, and far more precise than vectors are


def write_codec(out: Path, components: PatchComponents, *, side: int, fitted_on: dict[str, Any]) -> None:
    """Write a codec's folder, in place of an older one.

    Args:
        side: of a patch, px.
        fitted_on: what the config says of the photos.
    """
    model = PatchPca({"factor": side, "latent_channels": len(components.deviations), "fitted_on": fitted_on})
    mean, directions, deviations = map(
        torch.from_numpy, (components.mean, components.directions, components.deviations)
    )
    analysis = directions / deviations[:, None, None, None]
    model.load_state_dict(
        {
            "encoder.weight": analysis,
            "encoder.bias": -(analysis.sum((2, 3)) @ mean),
            "decoder.weight": directions * deviations[:, None, None, None],
            "decoder.bias": mean,
        }
    )
    with folder_aside(out) as aside:
        model.save_pretrained(aside)


def write_exemplar_encoder(out: Path, whole: AffineMap, places: AffineMap, *, fitted_on: dict[str, Any]) -> None:
    """Write an exemplar encoder's folder, likewise; the network stays in its package, which the config names.

    Raises:
        InputError: STORED cannot hold a number.
    """
    package = model_package(LITE0)
    config = {
        "model_type": EFFICIENTNET_PCA,
        "hidden_size": len(whole.weight),
        "network": LITE0,
        "network_package": f"{package}=={importlib.metadata.version(package)}",
        "network_sha256": PUBLISHED[LITE0].sha256,
        "fitted_on": fitted_on,
    }
    model = EfficientNetPca(config, load_efficientnet(LITE0))
    for layer, fitted in ((model.whole, whole), (model.places, places)):
        layer.load_state_dict({"weight": fitted.weight, "bias": fitted.bias})
        layer.to(STORED)
    refuse_overflow(model.own_tensors(), f"the exemplar encoder in {STORED}", remedy="give photos of more kinds")
    with folder_aside(out) as aside:
        model.save_pretrained(aside)
