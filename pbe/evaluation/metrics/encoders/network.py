"""Network: squares -> features, by any network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pbe.evaluation.metrics.encoders.preparation import Preparation
from pbe.evaluation.metrics.encoders.protocol import Features, Picture
from pipeline.encoders.fingerprints import fingerprint_tensors
from pipeline.encoders.names import UNTRAINED
from pipeline.tensors.learning import has_learned
from pipeline.tensors.names import Tensors

AT_ONCE_ON_GPU = 32
_DIGITS = 16


@dataclass(frozen=True)
class NetworkEncoder:
    """A frozen network as a FeatureEncoder.

    A CPU takes one picture at a time, and a GPU always as many, the last batch filled up with black: in a batch of
    another size the last bits would differ, so that features would depend on what is encoded together.

    Args:
        network: [b, 3, side, side], normalised -> [b, dimension].
    """

    name: str
    digest: str
    dimension: int
    preparation: Preparation
    network: Callable[[torch.Tensor], torch.Tensor]
    device: str
    dtype: torch.dtype

    @property
    def side(self) -> int:
        return self.preparation.side

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Picture]) -> Features:
        """See FeatureEncoder."""
        at_once = 1 if self.device == "cpu" else AT_ONCE_ON_GPU
        features = np.empty((len(pictures), self.dimension), np.float32)
        for first in range(0, len(pictures), at_once):
            batch = pictures[first : first + at_once]
            squares = np.zeros((at_once, self.side, self.side, 3), np.float32)
            for place, picture in zip(squares, batch, strict=False):
                place[:] = self.preparation.square(picture)
            features[first : first + len(batch)] = self._features(squares)[: len(batch)]
        return features

    def _features(self, squares: NDArray[np.float32]) -> Features:
        images = torch.from_numpy(self.preparation.normalise(squares)).permute(0, 3, 1, 2).contiguous()
        encoded: Features = self.network(images.to(self.device, self.dtype)).float().cpu().numpy()
        return encoded


def encoder_of(
    model: Any,
    *,
    kind: str,
    name: str,
    facts: Mapping[str, Any],
    weights: Tensors,
    dimension: int,
    preparation: Preparation,
    features: Callable[[torch.Tensor], torch.Tensor],
    device: str,
    dtype: str,
) -> NetworkEncoder:
    """Freeze a model on a device, and name it honestly.

    Args:
        model: a torch module.
        name: by its config; `untrained` comes before it where it has learned nothing.
        kind, facts, weights: what decides its features, as its files have it: its digest must not change with the
            version of a library.
        features: calls the model.
    """
    decisive = {**facts, "preparation": asdict(preparation)}
    digest = fingerprint_tensors(kind, decisive, weights, dtype)[:_DIGITS]
    model.to(device=device, dtype=getattr(torch, dtype)).eval().requires_grad_(False)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()  # out of its file: where numbers lie in memory decides last bits, too
    named = name if has_learned(model.state_dict()) else f"{UNTRAINED} {name}"
    return NetworkEncoder(named, digest, dimension, preparation, features, device, getattr(torch, dtype))
