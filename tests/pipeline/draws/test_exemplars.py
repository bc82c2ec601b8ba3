import cv2
import numpy as np
import pytest

from pipeline.decoding.jpeg import decode_jpeg, encode_jpeg
from pipeline.draws.exemplars import augment_exemplar, crop_exemplar, exemplar_box

FLAT = np.full((224, 224, 3), 90, np.uint8)


def augmentations(count: int) -> list[dict[str, object]]:
    return [dict(augment_exemplar(FLAT, seed=0, image_id=f"photo{i}", draw=0)[1]) for i in range(count)]


def test_steps_come_with_the_papers_shares_and_independently() -> None:
    applied = augmentations(2000)
    flags = np.array(
        [
            [a["flip"], a["rotate_degrees"] is not None, a["blur_px"] is not None, a["affine_px"] is not None]
            for a in applied
        ],
        float,
    )
    assert flags.mean(axis=0) == pytest.approx([0.5, 0.5, 0.3, 0.3], abs=0.04)
    correlation = np.corrcoef(flags.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.07
    angles = np.array([a["rotate_degrees"] for a in applied if a["rotate_degrees"] is not None], float)
    assert np.abs(angles).max() <= 20
    assert np.histogram(angles, 4, (-20, 20))[0].min() > 0.2 * len(angles)
    assert {a["blur_px"] for a in applied} == {None, 3, 5, 7}
    moves = np.array([a["affine_px"] for a in applied if a["affine_px"] is not None], float)
    assert moves.shape[1] == 6
    assert np.abs(moves).max() <= 50
    assert np.abs(moves).max() > 48


def test_an_augmentation_is_replayed_bit_for_bit_from_the_stored_jpeg() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    stored = crop_exemplar(photo, (10, 20, 310, 280))
    for draw in range(20):
        first = augment_exemplar(decode_jpeg(stored), seed=3, image_id="a", draw=draw)
        augment_exemplar(FLAT, seed=9, image_id="between", draw=0)
        again = augment_exemplar(decode_jpeg(stored), seed=3, image_id="a", draw=draw)
        assert np.array_equal(first[0], again[0])
        assert first[1] == again[1]


def test_the_told_angle_is_counter_clockwise() -> None:
    bar = np.zeros((224, 224, 3), np.uint8)
    bar[108:116, 20:204] = 255
    for i in range(200):
        turned, told = augment_exemplar(bar, seed=0, image_id=f"{i}", draw=0)
        angle = told["rotate_degrees"]
        if angle is None or told["affine_px"] or abs(angle) < 5:
            continue
        rows, columns = np.nonzero(turned[60:164, 40:184, 0] > 127)
        slope = np.polyfit(columns, rows, 1)[0]
        assert np.degrees(np.arctan(-slope)) == pytest.approx(angle, abs=1.5)


def test_the_told_affine_is_the_one_applied() -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8), (0, 0), 8)
    for i in range(300):
        warped, told = augment_exemplar(picture, seed=0, image_id=f"{i}", draw=0)
        if told["affine_px"] and not told["flip"] and told["rotate_degrees"] is None and told["blur_px"] is None:
            points = np.array([(186, 186), (186, 38), (38, 38)], np.float32)
            moved = points + np.array(told["affine_px"], np.float32).reshape(3, 2)
            matrix = cv2.getAffineTransform(points, moved)
            expected = cv2.warpAffine(picture, matrix, (224, 224), borderMode=cv2.BORDER_REFLECT_101)
            assert np.array_equal(warped, expected)
            return
    pytest.fail("no augmentation had the affine alone")


def test_the_exemplar_is_the_box_with_ten_pixels_around_it_inside_the_photo() -> None:
    assert exemplar_box((50, 60, 90, 100), 200, 200) == (40, 50, 100, 110)
    assert exemplar_box((3, 0, 195, 200), 200, 200) == (0, 0, 200, 200)


def test_a_stored_exemplar_keeps_its_colours() -> None:
    assert (
        np.abs(
            decode_jpeg(encode_jpeg(np.full((224, 224, 3), (200, 90, 30), np.uint8))).astype(int) - (200, 90, 30)
        ).max()
        < 4
    )


def test_bytes_that_are_no_jpeg_are_refused() -> None:
    with pytest.raises(ValueError, match="not a JPEG"):
        decode_jpeg(b"no picture")
