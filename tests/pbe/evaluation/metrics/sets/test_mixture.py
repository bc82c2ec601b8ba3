"""Mixture: that its likelihoods are sklearn's, and what of a file is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from pbe.evaluation.metrics.sets.mixture import (
    LABEL,
    Fit,
    Mixture,
    fit_mixture,
    log_likelihoods,
    quality_of,
    read_mixture,
    write_mixture,
)
from pipeline.errors import InputError
from pipeline.rng import rng_for

ENCODER = {"encoder": "CLIP ViT-B/32", "digest": "0123456789abcdef"}


def clusters(n: int, d: int = 6, seed: int = 0) -> NDArray[np.float32]:
    """Three clusters, of which two dimensions are one."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 0.3, (n, d)) + 5 * rng.integers(0, 3, (n, 1))
    rows[:, 1] = rows[:, 0]
    return rows.astype(np.float32)


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    return fit_mixture(clusters(600), **ENCODER, seed=3, components=3)


def test_likelihoods_are_those_of_sklearn(mixture: Mixture) -> None:
    theirs = GaussianMixture(3, covariance_type="full")
    theirs.weights_, theirs.means_ = mixture.weights, mixture.means
    theirs.precisions_cholesky_ = mixture.precisions_cholesky
    rows = np.concatenate([clusters(1200, seed=1), clusters(5, seed=2) + 40])  # more than a block, and far away
    expected = theirs.score_samples(rows.astype(np.float64))
    np.testing.assert_allclose(log_likelihoods(mixture, rows), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_likelihoods_of_20_components_of_512_dimensions_are_those_of_sklearn() -> None:
    rows = np.random.default_rng(0).normal(0, np.geomspace(2, 0.05, 512), (2000, 512))
    theirs = GaussianMixture(20, covariance_type="full", reg_covar=1e-4, max_iter=2, random_state=0).fit(rows)
    mixture = Mixture(
        **ENCODER,
        weights=theirs.weights_,
        means=theirs.means_,
        precisions_cholesky=theirs.precisions_cholesky_,
        fit=Fit(len(rows), 0, 1e-4, False),
    )
    np.testing.assert_allclose(log_likelihoods(mixture, rows), theirs.score_samples(rows), rtol=1e-9)


def test_the_fit_is_the_one_of_sklearn(mixture: Mixture) -> None:
    rows = clusters(600).astype(np.float64)
    state = int(rng_for(3, "mixture").integers(2**32))
    theirs = GaussianMixture(3, covariance_type="full", reg_covar=1e-6, random_state=state).fit(rows)
    assert np.mean(log_likelihoods(mixture, rows)) == pytest.approx(theirs.score(rows), abs=1e-3)
    assert mixture.fit == Fit(600, 3, 1e-6, True)
    assert sorted(mixture.means[:, 0]) == pytest.approx([0, 5, 10], abs=0.1)


def test_the_order_of_pictures_changes_no_bit_of_the_fit(mixture: Mixture) -> None:
    other = fit_mixture(clusters(600)[::-1], **ENCODER, seed=3, components=3)
    assert (other.precisions_cholesky == mixture.precisions_cholesky).all()
    assert (other.means == mixture.means).all()


def test_pictures_like_the_real_ones_score_higher(mixture: Mixture) -> None:
    near, far = clusters(50, seed=5), clusters(50, seed=5) + np.float32(2.5)
    assert log_likelihoods(mixture, near).min() > log_likelihoods(mixture, far).max()


def test_quality_is_100_from_a_likelihood_of_300_on_and_0_below_0() -> None:
    assert quality_of(np.array([-1e9, -1, 0, 150, 300, 1e9])).tolist() == [0, 0, 0, 50, 100, 100]


def test_a_likelihood_does_not_depend_on_the_pictures_beside_it(mixture: Mixture) -> None:
    rows = clusters(700, seed=1)
    alone = np.concatenate([log_likelihoods(mixture, rows[place : place + 1]) for place in range(0, 700, 70)])
    np.testing.assert_allclose(alone, log_likelihoods(mixture, rows)[::70], rtol=1e-12)
    assert log_likelihoods(mixture, rows[:0]).shape == (0,)


def test_no_mixture_is_called_the_papers() -> None:
    assert LABEL == "own mixture"


def test_what_was_written_is_read_bit_by_bit(mixture: Mixture, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_mixture(str(tmp_path / name), mixture)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_mixture(str(tmp_path / "a.npz"), **ENCODER)
    rows = clusters(20, seed=1)
    assert (log_likelihoods(found, rows) == log_likelihoods(mixture, rows)).all()
    assert (found.encoder, found.digest, found.fit) == (mixture.encoder, mixture.digest, mixture.fit)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "DINOv2 ViT-B/14"}, r"features of DINOv2 ViT-B/14 \(0123456789abcdef\), not of CLIP ViT-B/32"),
        ({"digest": "f" * 16}, r"features of CLIP ViT-B/32 \(f{16}\), not of CLIP ViT-B/32 \(0123"),
        ({"means": None}, "is no mixture: it has no means"),
        ({"means": np.zeros((3, 5))}, r"precisions_cholesky is float64 \[3, 6, 6\], not floats \[3, 5, 5\]"),
        ({"weights": np.ones(2)}, r"weights is float64 \[2\], not floats \[3\]"),
        ({"weights": np.ones(3)}, "weights are none"),
        ({"weights": np.array([2.0, -2, 1])}, "weights are none"),
        ({"means": np.full((3, 6), np.nan)}, "means is not finite"),
        ({"precisions_cholesky": -np.ones((3, 6, 6))}, "is not upper triangular"),
        ({"precisions_cholesky": np.tile(-np.eye(6), (3, 1, 1))}, "negative variance"),
        ({"seed": "many"}, "n, seed or reg_covar is no number"),
        ({"weights": np.array([{}] * 3)}, "is damaged .*pickle"),
    ],
)
def test_a_file_that_is_no_mixture_of_this_encoder_is_refused(
    mixture: Mixture, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    write_mixture(str(tmp_path / "sound.npz"), mixture)
    with np.load(tmp_path / "sound.npz") as file:
        fields = {name: value for name, value in {**file, **change}.items() if value is not None}
    path = tmp_path / "odd.npz"
    np.savez(path, **fields)
    with pytest.raises(InputError, match=message) as refused:
        read_mixture(str(path), **ENCODER)
    assert str(path) in str(refused.value)


def test_a_file_cut_short_is_refused(mixture: Mixture, tmp_path: Path) -> None:
    path = tmp_path / "mixture.npz"
    write_mixture(str(path), mixture)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"mixture\.npz: is no npz file, or one that was cut short"):
        read_mixture(str(path), **ENCODER)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value)")
def test_features_that_have_no_likelihood_are_refused(mixture: Mixture) -> None:
    with pytest.raises(InputError, match=r"features are \[2, 5\], the mixture's have 6 dimensions"):
        log_likelihoods(mixture, np.ones((2, 5)))
    with pytest.raises(InputError, match="features are not finite"):
        log_likelihoods(mixture, np.full((2, 6), np.nan))
    with pytest.raises(InputError, match="so large that their likelihood overflows"):
        log_likelihoods(mixture, np.full((2, 6), 1e200))


def test_features_that_have_no_mixture_are_refused() -> None:
    with pytest.raises(InputError, match="real pictures: 10 pictures cannot have 20 components"):
        fit_mixture(clusters(10), **ENCODER, seed=0)
    with pytest.raises(InputError, match=r"real pictures: has no mixture .* raise reg_covar above 0"):
        fit_mixture(clusters(30), **ENCODER, seed=0, components=1, reg_covar=0)
