"""Real sets on disk: what is read back, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.metrics.sets.real_set import RealSet, read_real_set, real_set_of, write_real_set
from pipeline.errors import InputError

ENCODER = {"encoder": "CLIP ViT-B/32", "digest": "0123456789abcdef"}
SOUND = {"mean": np.zeros(2), "covariance": np.eye(2), "n": np.array(5), **ENCODER}


@pytest.fixture
def real() -> RealSet:
    features = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    return real_set_of(features, **ENCODER, name="real")


def without_features(real: RealSet) -> RealSet:
    return RealSet(real.encoder, real.digest, real.statistics)


@pytest.mark.parametrize("keep", [lambda real: real, without_features], ids=["features", "statistics"])
def test_what_was_written_is_read_bit_by_bit(real: RealSet, tmp_path: Path, keep: Callable[[RealSet], RealSet]) -> None:
    given_set, url = keep(real), str(tmp_path / "a folder" / "real.npz")
    write_real_set(url, given_set)
    found = read_real_set(url, **ENCODER)
    assert (found.encoder, found.digest, found.statistics.n) == (*ENCODER.values(), 20)
    assert (found.statistics.mean == real.statistics.mean).all()
    assert (found.statistics.covariance == real.statistics.covariance).all()
    assert (found.features is None) == (given_set.features is None)
    assert [path.name for path in (tmp_path / "a folder").iterdir()] == ["real.npz"]


def test_equal_sets_give_equal_bytes(real: RealSet, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_real_set(str(tmp_path / name), real)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_set_on_remote_storage_is_read_back(real: RealSet) -> None:
    write_real_set("memory://real-sets/real.npz", real)
    assert read_real_set("memory://real-sets/real.npz", **ENCODER).statistics.n == 20


def test_features_that_a_stranger_saved_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "mine.npz", features=np.random.default_rng(0).random((9, 4)), **ENCODER)
    assert read_real_set(str(tmp_path / "mine.npz"), **ENCODER).statistics.n == 9


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {**SOUND, "encoder": "DINOv2 ViT-B/14"},
            r"features of DINOv2 ViT-B/14 \(0123456789abcdef\), not of CLIP",
        ),
        ({**SOUND, "digest": "f" * 16}, r"holds features of CLIP ViT-B/32 \(f{16}\), not of CLIP ViT-B/32 \(0123"),
        ({"mu": np.zeros(2), "sigma": np.eye(2)}, "holds mu, sigma; needs features, or mean, covariance and n"),
        ({"features": np.ones((3, 2))}, r"does not say whose features it holds \(encoder, digest missing\)"),
        ({**ENCODER, "features": np.ones((3, 2), int)}, r"features is int64 \[3, 2\], not floats \[any, any\]"),
        ({**ENCODER, "features": np.ones((1, 2))}, "has 1 pictures"),
        ({**ENCODER, "features": np.full((3, 2), np.nan)}, "features is not finite"),
        ({**SOUND, "mean": np.zeros(3)}, r"covariance is float64 \[2, 2\], not floats \[3, 3\]"),
        ({**SOUND, "mean": np.zeros((1, 2))}, r"mean is float64 \[1, 2\], not floats \[any\]"),
        ({**SOUND, "covariance": np.array([[1.0, np.inf], [np.inf, 1]])}, "covariance is not finite"),
        ({**SOUND, "covariance": np.array([[1.0, 2], [2, 1]])}, "covariance is none: .* negative variance"),
        ({**SOUND, "covariance": np.array([[1.0, 0.5], [0, 1]])}, "covariance is none: it is not symmetric"),
        ({**SOUND, "n": np.array(1)}, "n is 1, not a number of pictures"),
        ({**SOUND, "n": np.array([5, 6])}, "not a number of pictures"),
        ({**SOUND, "n": np.array("five")}, "n is five, not a number of pictures"),
        ({**SOUND, "mean": np.array([{}, {}])}, "is damaged .*pickle"),
    ],
)
def test_a_file_that_is_not_of_this_encoder_or_none_is_refused(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    path = tmp_path / "real.npz"
    np.savez(path, **fields)
    with pytest.raises(InputError, match=message) as refused:
        read_real_set(str(path), **ENCODER)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"", "is no npz"), (b"PK\x03\x04", "is no npz")]
)
def test_a_file_that_is_missing_or_no_npz_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "real.npz").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_real_set(str(tmp_path / "real.npz"), **ENCODER)


@settings(max_examples=50)
@given(st.data())
def test_a_damaged_file_is_refused_or_reads_as_before(tmp_path: Path, real: RealSet, data: st.DataObject) -> None:
    url = str(tmp_path / "real.npz")
    write_real_set(url, without_features(real))
    content = bytearray(Path(url).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    Path(url).write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
    try:
        found = read_real_set(url, **ENCODER)
    except InputError:
        return
    assert found.statistics.n == 20
    assert (found.statistics.covariance == real.statistics.covariance).all()


def test_a_place_that_cannot_be_written_is_refused(real: RealSet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"real\.npz: cannot be written"):
        write_real_set(str(tmp_path / "file" / "real.npz"), real)
