import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from pipeline.errors import InputError
from pipeline.fitting.patches import PatchMoments, cut_patches
from tests.fitted_encoders import smooth_pictures

PICTURES = smooth_pictures(12, side=32)


@settings(max_examples=10)
@given(st.permutations(range(len(PICTURES))))
def test_the_order_of_the_squares_changes_no_bit(order: list[int]) -> None:
    first, second = PatchMoments(4), PatchMoments(4)
    first.add(PICTURES)
    second.add(PICTURES[place] for place in order)
    one, other = first.components(12), second.components(12)
    assert one.directions.tobytes() == other.directions.tobytes()
    assert one.deviations.tobytes() == other.deviations.tobytes()


def test_the_number_of_threads_changes_no_bit() -> None:
    moments, found = PatchMoments(16), []
    moments.add(smooth_pictures(30))
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(moments.components(300).directions.tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(("side", "count"), [(4, 12), (1, 3)])
def test_the_components_are_those_of_scikit_learn(side: int, count: int) -> None:
    moments = PatchMoments(side)
    moments.add(PICTURES)
    found = moments.components(count)
    patches = np.concatenate([cut_patches(picture, side) for picture in PICTURES]) / 127.5 - 1
    expected = PCA(count, svd_solver="full").fit(patches)
    rows = found.directions.reshape(count, -1)
    np.testing.assert_allclose(rows @ rows.T, np.eye(count), atol=1e-12)
    np.testing.assert_allclose(found.deviations[:8], np.sqrt(expected.explained_variance_)[:8], rtol=0.02)
    overlap = np.abs((rows * expected.components_).sum(axis=1))
    assert (overlap[:3] > 0.98).all()  # the mean is a channel's there, a number's here


def test_a_patch_lists_its_channels_one_after_the_other() -> None:
    square = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    assert cut_patches(square, 2)[1].tolist() == [6, 9, 18, 21, 7, 10, 19, 22, 8, 11, 20, 23]


def test_more_components_than_the_photos_have_are_refused() -> None:
    moments = PatchMoments(4)
    moments.add([np.full((32, 32, 3), 90, np.uint8)])
    with pytest.raises(InputError, match="--channels 12: "):
        moments.components(12)
