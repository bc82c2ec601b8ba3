"""Mixture: features of real pictures -> a Gaussian mixture -> the log likelihood of others -> QS, the quality score.

GIQA (Gu et al., ECCV 2020) scores a picture by its likelihood under a mixture of real features; the paper scales
it, see `quality_of`. The pictures and the code that the paper's own mixture was fitted with are not published, and no
digest of it is known here: every mixture is one's own, not comparable with the paper's, and LABEL says so beside its
numbers. Fit one on some 100,000 real pictures.
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pbe.evaluation.metrics.sets.frechet import Features, Floats, canonical
from pbe.evaluation.metrics.sets.npz import (
    DIGEST,
    ENCODER,
    Array,
    floats,
    read_npz,
    refuse_other_encoder,
    word,
    write_npz,
)
from pipeline.errors import InputError
from pipeline.rng import rng_for

LABEL = "own mixture"
COMPONENTS = 20
REG_COVAR = 1e-6
FULL_SCORE = 300  # log likelihood of a score of 100
REMEDY = "fit one on features of this encoder"
MOST_ROUNDS = 200  # of EM
_BLOCK = 512  # rows: bounds the memory


@dataclass(frozen=True)
class Fit:
    """How a mixture came about.

    Args:
        n: pictures that it was fitted on.
        reg_covar: what was added to each variance.
        converged: whether EM did; else it ended after MOST_ROUNDS.
    """

    n: int
    seed: int
    reg_covar: float
    converged: bool


@dataclass(frozen=True, eq=False)
class Mixture:
    """k normal distributions over d features.

    Args:
        encoder, digest: whose features these are: FeatureEncoder.name and .digest.
        weights: [k], sum 1.
        means: [k, d].
        precisions_cholesky: [k, d, d], upper triangular U with U @ U.T the inverse of a covariance.
    """

    encoder: str
    digest: str
    weights: Floats
    means: Floats
    precisions_cholesky: Floats
    fit: Fit


def fit_mixture(
    features: Features,
    *,
    encoder: str,
    digest: str,
    seed: int,
    components: int = COMPONENTS,
    reg_covar: float = REG_COVAR,
    name: str = "real pictures",
) -> Mixture:
    """Fit a mixture with full covariances by EM, from k-means; the order of the pictures changes no bit.

    Args:
        features: [n, d] float.
        reg_covar: added to each variance; without it two dimensions that are nearly one leave no inverse.
        name: of the set, for errors.

    Raises:
        InputError: features are not as `canonical` takes them, are fewer than components, or leave a covariance without
            an inverse.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    rows = canonical(features, name)
    if len(rows) < components:
        raise InputError(f"{name}: {len(rows)} pictures cannot have {components} components; give more pictures")
    mixture = GaussianMixture(
        components,
        covariance_type="full",
        reg_covar=reg_covar,
        max_iter=MOST_ROUNDS,
        random_state=int(rng_for(seed, "mixture").integers(2**32)),
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # `converged` says it
            mixture.fit(rows)
    except ValueError as error:
        raise InputError(f"{name}: has no mixture ({error}); raise reg_covar above {reg_covar:g}") from error
    fit = Fit(len(rows), seed, reg_covar, bool(mixture.converged_))
    return Mixture(encoder, digest, mixture.weights_, mixture.means_, mixture.precisions_cholesky_, fit)


def log_likelihoods(mixture: Mixture, features: Features) -> Floats:
    """Compute the log density of each picture, [n, d] -> [n], a block at a time.

    log sum_k w_k N(x; m_k, S_k), where (x - m_k)' S_k^-1 (x - m_k) = |(x - m_k) U_k|² and |S_k|^-1/2 = prod diag U_k.

    Raises:
        InputError: features have another dimension, are not finite, or so large that a likelihood is not.
    """
    d = mixture.means.shape[1]
    if features.ndim != 2 or features.shape[1] != d:
        raise InputError(f"features are {list(features.shape)}, the mixture's have {d} dimensions; {REMEDY}")
    if not np.isfinite(features).all():
        raise InputError("features are not finite, so that they have no likelihood; check their encoder")
    blocks = (features[first : first + _BLOCK] for first in range(0, len(features), _BLOCK))
    found = np.concatenate([np.zeros(0), *(_log_densities(mixture, block.astype(np.float64)) for block in blocks)])
    if not np.isfinite(found).all():
        raise InputError("features are so large that their likelihood overflows; check their encoder")
    return found


def quality_of(log_likelihood: Floats) -> Floats:
    """Turn log likelihoods into qualities of pictures, 0..100, whose mean is QS: 100 clip(l / 300, 0, 1)."""
    return 100 * np.clip(log_likelihood / FULL_SCORE, 0, 1)


def write_mixture(url: str, mixture: Mixture) -> None:
    """Write a mixture.

    Raises:
        InputError: it cannot be written.
    """
    import sklearn

    fields: dict[str, Array | str | int | float] = {
        ENCODER: mixture.encoder,
        DIGEST: mixture.digest,
        "weights": mixture.weights,
        "means": mixture.means,
        "precisions_cholesky": mixture.precisions_cholesky,
        "n": mixture.fit.n,
        "seed": str(mixture.fit.seed),  # of any size
        "reg_covar": mixture.fit.reg_covar,
        "converged": mixture.fit.converged,
        "versions": json.dumps({"numpy": np.__version__, "scikit-learn": sklearn.__version__}),
    }
    write_npz(url, fields)


def read_mixture(url: str, *, encoder: str, digest: str) -> Mixture:
    """Read a mixture of one encoder's features.

    Raises:
        InputError: it is missing, damaged, no mixture, or of another encoder.
    """
    fields = read_npz(url, remedy=REMEDY)
    wanted = ("weights", "means", "precisions_cholesky", "n", "seed", "reg_covar", "converged")
    lacking = [name for name in wanted if name not in fields]
    if lacking:
        raise InputError(f"{url}: is no mixture: it has no {', '.join(lacking)}; {REMEDY}")
    refuse_other_encoder(url, fields, encoder=encoder, digest=digest, remedy=REMEDY)
    means = floats(url, fields, "means", (-1, -1), remedy=REMEDY).astype(np.float64)
    k, d = means.shape
    weights = floats(url, fields, "weights", (k,), remedy=REMEDY).astype(np.float64)
    roots = floats(url, fields, "precisions_cholesky", (k, d, d), remedy=REMEDY).astype(np.float64)
    if (weights <= 0).any() or abs(weights.sum() - 1) > 1e-6:
        raise InputError(f"{url}: weights are none: they are not positive, or do not add up to 1; {REMEDY}")
    if (np.tril(roots, -1) != 0).any() or (np.diagonal(roots, axis1=1, axis2=2) <= 0).any():
        raise InputError(f"{url}: precisions_cholesky is not upper triangular, or gives a negative variance; {REMEDY}")
    n, seed, reg_covar, converged = (word(fields[name]) for name in ("n", "seed", "reg_covar", "converged"))
    try:
        fit = Fit(int(n), int(seed), float(reg_covar), converged == "True")
    except ValueError as error:
        raise InputError(f"{url}: n, seed or reg_covar is no number ({error}); {REMEDY}") from error
    return Mixture(encoder, digest, weights, means, roots, fit)


def _log_densities(mixture: Mixture, rows: Floats) -> Floats:
    terms = np.stack(list(_log_terms(mixture, rows)))  # [k, n]
    highest = terms.max(axis=0)
    densities: Floats = highest + np.log(np.exp(terms - highest).sum(axis=0))
    return densities


def _log_terms(mixture: Mixture, rows: Floats) -> Iterator[Floats]:
    """Give log(w_k N(x; m_k, S_k)) of each component in turn, [n]."""
    constant = rows.shape[1] * np.log(2 * np.pi) / 2
    for weight, mean, root in zip(mixture.weights, mixture.means, mixture.precisions_cholesky, strict=True):
        distance = (((rows - mean) @ root) ** 2).sum(axis=1)
        yield np.log(weight) + np.log(np.diagonal(root)).sum() - constant - distance / 2
