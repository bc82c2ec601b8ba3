"""Distances: features of all pictures of a row, and of real ones -> their Fréchet distance."""

from collections.abc import Mapping, Sequence

import numpy as np

from pbe.evaluation.metrics.encoders.protocol import Features
from pbe.evaluation.metrics.feature_cache import CachedEncoder
from pbe.evaluation.metrics.sets.bias import distance_to
from pbe.evaluation.metrics.sets.real_set import RealSet
from pbe.evaluation.running.comparison import Comparison, Part
from pbe.evaluation.running.editing import read_made
from pbe.evaluation.running.records import PartRecord
from pbe.evaluation.running.scorer import Scorer
from pbe.evaluation.summary import SetDistance
from schemas.scores import picture_path

SEED = 0
FEWEST = 2  # pictures that have a covariance


def measure_distances(
    comparison: Comparison, parts: Sequence[Part], records: Mapping[str, PartRecord], scorer: Scorer, real: RealSet
) -> dict[str, SetDistance]:
    """Measure each row that has pictures; those whose features are not finite are left out of it.

    Raises:
        InputError: a picture whose features are not kept cannot be read.
    """
    rows: dict[str, list[Features]] = {}
    for part in parts:
        made = records[part.name].pictures
        for variant, row in part.rows.items():
            for case, keys in made.items():
                features = _features(comparison, scorer.encoders[0], row, case, keys[variant])
                if np.isfinite(features).all():
                    rows.setdefault(row, []).append(features)
    return {
        row: distance_to(real, np.stack(features), name=row, seed=SEED)
        for row, features in rows.items()
        if len(features) >= FEWEST
    }


def _features(comparison: Comparison, encoder: CachedEncoder, row: str, case: str, key: str) -> Features:
    """Look a picture's features up; [d]. A killed process may not have kept them: then the picture is read."""
    kept = encoder.find(bytes.fromhex(key))
    if kept is not None:
        return kept
    features: Features = encoder.encode([read_made(comparison.out, picture_path(row, case), key)])[0]
    return features
