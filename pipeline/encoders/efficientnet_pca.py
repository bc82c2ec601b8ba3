"""EfficientNet PCA: exemplars -> vectors and tokens, by whitened components of EfficientNet-Lite0's features. No CLIP.

The network is the published one, from its package (see `pipeline.encoders.efficientnet`). A folder holds the components
alone, fitted in closed form by `pipeline.fit_encoders`, and names the network's file by its hash.
"""

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.encoders.building import described
from pipeline.encoders.efficientnet import CODE, LITE0, MEAN, PUBLISHED, STD, TOKEN_WIDTH, load_efficientnet
from pipeline.encoders.facts import CONFIG, EFFICIENTNET_PCA, EXEMPLAR_ENCODERS
from pipeline.encoders.fingerprints import fingerprint_tensors
from pipeline.encoders.pixels import fit_to_encoder, unit_pixels
from pipeline.encoders.reading import read_tower
from pipeline.errors import InputError
from pipeline.tensors.fitting import adopt
from pipeline.tensors.names import Tensors
from pipeline.tensors.reading import write_tensors

WEIGHTS = "model.safetensors"
SIDE = PUBLISHED[LITE0].side
_NETWORK = "network."
_STATISTICS = {0: 16, 2: 24, 4: 40}  # early block -> its channels, of which mean and deviation are taken
_GRID_BLOCK, _GRID = 0, 4  # its channels are averaged over 4 x 4 places: colours, and where they are
_MAP_BLOCK = 15  # the last block
_POOLED = 1280  # channels of the last convolution
_LEAST = 1e-12  # of a variance, under a square root

# The lengths of the groups of features, in their order.
GROUPS = (*(2 * channels for channels in _STATISTICS.values()), _STATISTICS[_GRID_BLOCK] * _GRID**2, _POOLED)


class Features(NamedTuple):
    """What the network sees in pictures."""

    whole: torch.Tensor
    """[b, sum(GROUPS)]."""
    places: torch.Tensor
    """[b, 49, TOKEN_WIDTH]."""


class EfficientNetPca(nn.Module):
    """The network and two affine maps, of the features of a whole picture and of each of its 49 places.

    Args:
        config: `hidden_size`, numbers of a vector and of a token; the rest says how it was fitted.
        network: from `load_efficientnet`.
    """

    def __init__(self, config: Mapping[str, Any], network: nn.Module) -> None:
        super().__init__()
        self.config = dict(config)
        self.network = network
        self.whole = nn.Linear(sum(GROUPS), config["hidden_size"])
        self.places = nn.Linear(TOKEN_WIDTH, config["hidden_size"])

    @property
    def dtype(self) -> torch.dtype:
        return self.whole.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.whole.weight.device

    def own_tensors(self) -> dict[str, torch.Tensor]:
        """Return what its folder holds: all but the network."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith(_NETWORK)}

    def save_pretrained(self, folder: str | Path, **_: Any) -> None:
        """Write config.json and the components; takes transformers' options, none of which matters here."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_tensors(Path(folder) / WEIGHTS, self.own_tensors(), metadata={"format": "pt"})
        (Path(folder) / CONFIG).write_text(json.dumps(self.config, indent=2, sort_keys=True) + "\n")


@dataclass(frozen=True)
class EfficientNetEncoder:
    """An EfficientNetPca as an ExemplarEncoder."""

    name: str
    fingerprint: str
    model: EfficientNetPca
    layers = 0

    @property
    def dimension(self) -> int:
        """See ExemplarEncoder."""
        return int(self.model.config["hidden_size"])

    def encode(self, exemplars: NDArray[np.uint8]) -> NDArray[np.float16]:
        """See ExemplarEncoder."""
        return self.pooled(unit_pixels(exemplars)).to(torch.float16).cpu().numpy()

    @torch.no_grad()  # not inference_mode: a trained conditioner computes gradients from it
    def pooled(self, pictures: torch.Tensor) -> torch.Tensor:
        """See ExemplarEncoder."""
        return self.model.whole(self._features(pictures).whole)  # type: ignore[no-any-return]

    @torch.no_grad()
    def tokens(self, pictures: torch.Tensor) -> torch.Tensor:
        """See ExemplarEncoder; 49, row by row of the 7 x 7 places."""
        return self.model.places(self._features(pictures).places)  # type: ignore[no-any-return]

    def _features(self, pictures: torch.Tensor) -> Features:
        return features_of(self.model.network, pictures.to(self.model.device), dtype=self.model.dtype)


def features_of(network: Any, pictures: torch.Tensor, *, dtype: torch.dtype = torch.float32) -> Features:
    """Run the network over pictures [b, 3, s, s] float32 in [0, 1].

    Args:
        dtype: the network's precision.
    """
    images = ((fit_to_encoder(pictures, SIDE) - MEAN) / STD).to(dtype, memory_format=torch.channels_last)
    hidden = network._swish(network._bn0(network._conv_stem(images)))
    parts, grid, places = [], hidden, hidden
    for number, block in enumerate(network._blocks):
        hidden = block(hidden)
        if number in _STATISTICS:
            parts += [hidden.mean((2, 3)), hidden.float().var((2, 3)).clamp(_LEAST).sqrt().to(dtype)]
        if number == _GRID_BLOCK:
            grid = nn.functional.adaptive_avg_pool2d(hidden, _GRID).flatten(1)
        if number == _MAP_BLOCK:
            places = hidden.flatten(2).transpose(1, 2)
    pooled = network._swish(network._bn1(network._conv_head(hidden))).mean((2, 3))
    return Features(torch.cat([*parts, grid, pooled], dim=1), places)


def load_efficientnet_pca(name: str, *, device: str, dtype: str) -> EfficientNetEncoder:
    """Load such an encoder.

    Args:
        name: a folder or hub id (`id:subfolder`).

    Raises:
        InputError: it cannot be loaded, does not fit its config, or its network's package is missing or another.
    """
    weights = read_tower(name)
    model = build_efficientnet_pca(weights.tensors, weights.config, f"--exemplar-encoder {name}").float()
    decisive = {"network": PUBLISHED[LITE0].sha256, CODE: importlib.metadata.version(CODE)}
    fingerprint = fingerprint_tensors(EFFICIENTNET_PCA, decisive, model.own_tensors(), dtype)
    return EfficientNetEncoder(name, fingerprint, model.to(device=device, dtype=getattr(torch, dtype)))


def build_efficientnet_pca(tensors: Tensors, config: Mapping[str, Any], what: str) -> EfficientNetPca:
    """Build such an encoder, frozen: the components in the precision of their tensors.

    Args:
        what: names it in errors.

    Raises:
        InputError: it is of another kind or of another network, does not fit its config, or is not finite.
    """
    if config.get("model_type") != EFFICIENTNET_PCA:
        raise InputError(f"{what}: model type {config.get('model_type')}; {EXEMPLAR_ENCODERS}")
    if config.get("network_sha256") != PUBLISHED[LITE0].sha256:
        raise InputError(f"{what}: was fitted to another network than the package has; fit it again")
    network = load_efficientnet(LITE0)
    with described(what), torch.device("meta"):
        model = EfficientNetPca(config, network)
    adopt(model, {**{f"{_NETWORK}{key}": value for key, value in network.state_dict().items()}, **tensors}, what)
    return model.eval().requires_grad_(False)
