"""Similarity: features of the repainted part and of the exemplar -> their cosine, by any encoder. Imports no torch."""

from collections.abc import Sequence

import numpy as np

from pbe.evaluation.metrics.encoders.preparation import squash
from pbe.evaluation.metrics.encoders.protocol import FeatureEncoder, Features
from pbe.evaluation.metrics.measured import Measured
from pbe.evaluation.metrics.regions import fixed_view
from pipeline.arrays import Hole, Pixels

_NOT_FINITE = "the encoder gave features that are not finite"
_ZERO = "the encoder gave features that are all zero"


def exemplar_similarities(
    encoder: FeatureEncoder, results: Sequence[Pixels], masks: Sequence[Hole], exemplars: Sequence[Pixels]
) -> list[Measured]:
    """Compare the mask's rectangle of each result with its exemplar: cosines, -1..1.

    Both are squashed to the encoder's square, so that neither loses its margins. By `CLIP ViT-B/32` this is a hundredth
    of the fixed CLIP score.

    Args:
        results: [h, w, 3] uint8 sRGB each, of any size.
        masks: [h, w] bool, True = repainted; not empty.
        exemplars: [eh, ew, 3] uint8 sRGB.
    """
    side = encoder.side
    parts = [fixed_view(result, mask, side) for result, mask in zip(results, masks, strict=True)]
    features = encoder.encode([*parts, *(squash(exemplar, side) for exemplar in exemplars)])
    return cosines(features[: len(parts)], features[len(parts) :])


def cosines(first: Features, second: Features) -> list[Measured]:
    """Return the cosine of each pair of rows of [n, d] and [n, d], in float64."""
    return [_cosine(one, other) for one, other in zip(first, second, strict=True)]


def _cosine(one: Features, other: Features) -> Measured:
    a, b = one.astype(np.float64), other.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Measured(None, _NOT_FINITE)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not lengths:
        return Measured(None, _ZERO)
    return Measured(float(np.clip(a @ b / lengths, -1, 1)))
