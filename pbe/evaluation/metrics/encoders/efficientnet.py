"""EfficientNet: Lite0 and Lite2, trained on ImageNet -> features of pictures."""

from pbe.evaluation.metrics.encoders.network import NetworkEncoder, encoder_of
from pbe.evaluation.metrics.encoders.preparation import Preparation
from pbe.evaluation.metrics.encoders.specs import EFFICIENTNETS, Spec
from pipeline.encoders.efficientnet import MEAN, PUBLISHED, STD, load_efficientnet

_BORDER_PX = 32  # of the evaluation's resized pictures, cut off
_CHANNELS = 1280


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
        preparation=Preparation(side, side + _BORDER_PX, (MEAN,) * 3, (STD,) * 3),
        features=lambda images: network.extract_features(images).mean((2, 3)),
        device=device,
        dtype=dtype,
    )
