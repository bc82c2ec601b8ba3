"""CLIP score: results, masks and exemplars -> 100 x the cosine of CLIP ViT-B/32's features. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pbe.evaluation.metrics.encoders.names import PAPER_ENCODER
from pbe.evaluation.metrics.encoders.preparation import squash
from pbe.evaluation.metrics.encoders.protocol import FeatureEncoder
from pbe.evaluation.metrics.measured import Measured
from pbe.evaluation.metrics.regions import OFFICIAL_PX, fixed_view, official_view
from pbe.evaluation.metrics.similarity import cosines
from pipeline.arrays import Hole, Pixels

_NOTHING_LEFT = "the mask's rectangle is 1 px wide or high, of which the official crop leaves nothing"


@dataclass(frozen=True)
class ClipScore:
    """Both forms of one case's score, -100..100.

    Args:
        official: by the crop of the paper's published code; see `official_view`.
        fixed: by the mask's whole rectangle, with antialias.
    """

    official: Measured
    fixed: Measured


def clip_scores(
    encoder: FeatureEncoder, results: Sequence[Pixels], masks: Sequence[Hole], exemplars: Sequence[Pixels]
) -> list[ClipScore]:
    """Score each result against its exemplar, both squashed to 224 px (Paint by Example, section 4.1).

    The exemplar is resized as in the published code, by Pillow's bicubic filter. That code runs CLIP in half precision;
    here, precision is the encoder's.

    Args:
        encoder: CLIP ViT-B/32.
        results: [h, w, 3] uint8 sRGB each, of any size.
        masks: [h, w] bool, True = repainted; not empty.
        exemplars: [eh, ew, 3] uint8 sRGB.

    Raises:
        ValueError: the encoder is another one, whose cosine is no CLIP score; see `exemplar_similarities`.
    """
    if encoder.name != PAPER_ENCODER:
        raise ValueError(f"{encoder.name}: gives no CLIP score, which is {PAPER_ENCODER}'s")
    fixed = [fixed_view(*each, OFFICIAL_PX) for each in zip(results, masks, strict=True)]
    official = [official_view(*each) for each in zip(results, masks, strict=True)]
    squashed = [squash(exemplar, OFFICIAL_PX) for exemplar in exemplars]
    views = [view for view in official if view is not None]
    features = encoder.encode([*fixed, *squashed, *views])
    whole, theirs, cropped = np.split(features, [len(fixed), len(fixed) + len(squashed)])
    kept = [view is not None for view in official]
    by_crop = iter(cosines(cropped, theirs[kept]))
    return [
        ClipScore(_score(next(by_crop)) if view is not None else Measured(None, _NOTHING_LEFT), _score(by_whole))
        for view, by_whole in zip(official, cosines(whole, theirs), strict=True)
    ]


def _score(cosine: Measured) -> Measured:
    return cosine if cosine.value is None else Measured(100 * cosine.value)
