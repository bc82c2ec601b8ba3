"""Real set: features of real pictures, or only their statistics <-> a file. What a Fréchet distance is held against."""

import json
from dataclasses import dataclass

import numpy as np

from pbe.evaluation.metrics.sets.frechet import Features, Statistics, statistics_of
from pbe.evaluation.metrics.sets.npz import DIGEST, ENCODER, Array, floats, read_npz, refuse_other_encoder, write_npz
from pipeline.errors import InputError

FEATURES, MEAN, COVARIANCE, COUNT = "features", "mean", "covariance", "n"
REMEDY = "give a folder of real pictures, or a file that was written for this encoder"
_ROUNDING = 1e-6  # of the largest eigenvalue: how far below 0, or from symmetric, a covariance may be


@dataclass(frozen=True, eq=False)
class RealSet:
    """Real pictures, as an encoder sees them.

    Args:
        encoder, digest: whose features these are: FeatureEncoder.name and .digest.
        features: [n, d]; None: only their statistics are known.
    """

    encoder: str
    digest: str
    statistics: Statistics
    features: Features | None = None


def real_set_of(features: Features, *, encoder: str, digest: str, name: str) -> RealSet:
    """Measure real pictures.

    Args:
        features: [n, d] float.
        name: of the set, for errors.

    Raises:
        InputError: as `statistics_of`.
    """
    return RealSet(encoder, digest, statistics_of(features, name), features)


def write_real_set(url: str, real: RealSet) -> None:
    """Write features where they are known, else statistics.

    Raises:
        InputError: it cannot be written.
    """
    known: dict[str, Array | str | int | float]
    if real.features is not None:
        known = {FEATURES: real.features}
    else:
        measured = real.statistics
        known = {MEAN: measured.mean, COVARIANCE: measured.covariance, COUNT: measured.n}
    versions = json.dumps({"numpy": np.__version__})
    write_npz(url, {**known, ENCODER: real.encoder, DIGEST: real.digest, "versions": versions})


def read_real_set(url: str, *, encoder: str, digest: str) -> RealSet:
    """Read features, or statistics, of one encoder.

    Raises:
        InputError: it is missing, damaged, or of another encoder, or holds neither.
    """
    fields = read_npz(url, remedy=REMEDY)
    if FEATURES not in fields and not {MEAN, COVARIANCE, COUNT} <= fields.keys():
        held = ", ".join(sorted(fields)) or "nothing"
        raise InputError(f"{url}: holds {held}; needs features, or mean, covariance and n; {REMEDY}")
    refuse_other_encoder(url, fields, encoder=encoder, digest=digest, remedy=REMEDY)
    if FEATURES in fields:
        features = floats(url, fields, FEATURES, (-1, -1), remedy=REMEDY)
        return real_set_of(features, encoder=encoder, digest=digest, name=url)
    return RealSet(encoder, digest, _read_statistics(url, fields))


def _read_statistics(url: str, fields: dict[str, Array]) -> Statistics:
    mean = floats(url, fields, MEAN, (-1,), remedy=REMEDY).astype(np.float64)
    covariance = floats(url, fields, COVARIANCE, (len(mean),) * 2, remedy=REMEDY).astype(np.float64)
    n = fields[COUNT]
    if n.ndim or not np.issubdtype(n.dtype, np.integer) or n < 2:
        raise InputError(f"{url}: n is {n}, not a number of pictures from 2 on; {REMEDY}")
    variances = np.linalg.eigvalsh(covariance)  # ascending
    slack = _ROUNDING * abs(variances[-1])
    if variances[0] < -slack or np.abs(covariance - covariance.T).max() > slack:
        raise InputError(f"{url}: covariance is none: it is not symmetric, or gives a negative variance; {REMEDY}")
    return Statistics(mean, covariance, int(n))
