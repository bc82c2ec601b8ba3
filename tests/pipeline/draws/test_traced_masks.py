import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pipeline.draws.crops import Crop
from pipeline.draws.mask_pictures import decode_mask, fit_mask
from pipeline.draws.masks import draw_bezier_mask
from pipeline.draws.raster import raster_mask
from pipeline.draws.rings import join_rings, split_rings
from pipeline.draws.traced_masks import trace_mask
from pipeline.errors import DrawError, PhotoError
from pipeline.rng import rng_for
from tests.pipeline.draws.blobs import blobs, iou

MAX_PIXELS = 1_000_000
LAMBDA = np.array([[0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.uint8)


def whole(side: int) -> Crop:
    return Crop((0, 0, side, side), "crop")


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


@pytest.mark.heavy
@settings(max_examples=300)
@given(st.integers(3, 40).flatmap(lambda side: hnp.arrays(np.uint8, (side, side), elements=st.integers(0, 1))))
@example(LAMBDA)  # its outline passes twice through the top
@example(np.indices((9, 9)).sum(axis=0).astype(np.uint8) % 2)  # every piece and hole is one pixel
def test_any_mask_comes_back_pixel_for_pixel(mask: np.ndarray) -> None:
    assume(mask.any() and not mask.all())
    polygon = trace_mask(mask, whole(len(mask)), len(mask))
    assert polygon.dtype == np.float32
    assert polygon.min() >= 0 and polygon.max() <= 1
    assert np.array_equal(raster_mask(polygon, len(mask)), mask)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.integers(200, 700),
    st.integers(200, 700),
    st.sampled_from([64, 256, 512]),
    st.floats(0.1, 0.7),
)
def test_a_photos_mask_differs_from_what_pillow_makes_of_it_in_lines_along_edges_alone(
    seed: int, width: int, height: int, resolution: int, share: float
) -> None:
    mask = blobs(seed, height, width, grain=12, share=share)
    rng = rng_for(seed, "test")
    side = int(rng.integers(100, min(width, height), endpoint=True))
    left, top = int(rng.integers(width - side, endpoint=True)), int(rng.integers(height - side, endpoint=True))
    crop = Crop((left, top, left + side, top + side), "crop")
    part = mask[top : top + side, left : left + side]
    assume(0.05 < part.mean() < 0.98)
    method = Image.Resampling.BOX if resolution < side else Image.Resampling.BILINEAR
    expected = np.asarray(Image.fromarray(part * 255).resize((resolution, resolution), method)) >= 128
    found = raster_mask(trace_mask(mask, crop, resolution), resolution).astype(bool)
    different = (found != expected).astype(np.uint8)
    assert not cv2.erode(different, np.ones((2, 2), np.uint8), borderValue=0).any()  # nowhere two by two pixels
    solid, near = expected.astype(np.uint8), np.ones((3, 3), np.uint8)
    edges = cv2.dilate(solid, near) != cv2.erode(solid, near)
    assert different.sum() < 0.2 * edges.sum()
    assert iou(found, expected) > {64: 0.9, 256: 0.95, 512: 0.97}[resolution]  # the edge is a share of small masks


@given(st.integers(0, 2**32))
def test_rings_come_back_from_their_polygon(seed: int) -> None:
    contours, _ = cv2.findContours(blobs(seed, 60, 60, grain=2, share=0.4), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    rings = [contour[:, 0] for contour in contours]
    found = split_rings(join_rings(rings))
    assert [sorted(ring.tolist()) for ring in found] == [sorted(ring.tolist()) for ring in rings]


def test_rings_without_a_point_of_their_own_are_refused() -> None:
    ring = np.array([[0, 0], [1, 0], [1, 1]])
    with pytest.raises(ValueError, match="ring"):
        join_rings([ring] * 4)


@given(st.integers(0, 2**32), st.integers(3, 30))
def test_a_drawn_polygon_is_one_ring_even_if_it_passes_its_first_point_again(seed: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    bezier = draw_bezier_mask((20.0, 20, 60, 70), (10, 15, 80, 80), 1024, rng, bounds=(0, 0, 100, 100))
    coarse = rng.integers(0, 4, (side, 2)) / 4.0
    for polygon in (bezier / 100, coarse):
        rings = split_rings(polygon)
        steps = np.rint(polygon * (64 << 12) - (1 << 11)).astype(np.int32)
        expected = np.zeros((64, 64), np.uint8)
        cv2.fillPoly(expected, [steps], (1,), shift=12)
        assert len(rings) > 1 or np.array_equal(raster_mask(polygon, 64), expected)
    assert len(split_rings(bezier)) == 1


def alpha(mask: np.ndarray, colour: int) -> np.ndarray:
    return np.dstack([np.full_like(mask, colour)] * 3 + [mask])


MASK = blobs(1, 60, 80, grain=4, share=0.3) * np.uint8(255)
MODES: dict[str, Callable[[], bytes]] = {
    "grey": lambda: encoded(Image.fromarray(MASK)),
    "one bit": lambda: encoded(Image.fromarray(MASK).convert("1")),
    "colour": lambda: encoded(Image.fromarray(MASK).convert("RGB")),
    "palette": lambda: encoded(Image.fromarray(MASK).convert("P")),
    "white palette first": lambda: encoded(_palette()),
    "white on black, beside nothing": lambda: encoded(_beside_nothing()),
    "16 bit": lambda: encoded(Image.fromarray(MASK.astype(np.uint16) * 257)),
    "numbers 0 and 1": lambda: encoded(Image.fromarray(MASK // 255)),
    "float TIFF": lambda: encoded(Image.fromarray(MASK.astype(np.float32) / 255), "TIFF"),
    "GIF": lambda: encoded(Image.fromarray(MASK), "GIF"),
    "BMP": lambda: encoded(Image.fromarray(MASK), "BMP"),
}


def _beside_nothing() -> Image.Image:
    """White on black, of which a corner, white as well, is transparent."""
    grey, clear = MASK.copy(), np.full_like(MASK, 255)
    grey[:9, :9] = MASK[:9, :9] + (MASK[:9, :9] == 0) * np.uint8(255)
    clear[:9, :9] = MASK[:9, :9]
    return Image.fromarray(np.dstack([grey] * 3 + [clear]))


def _palette() -> Image.Image:
    image = Image.fromarray((MASK == 0).astype(np.uint8))
    image.putpalette([255, 255, 255, 0, 0, 0])
    return image


@pytest.mark.parametrize("mode", MODES)
def test_masks_of_every_mode_are_the_same_mask(mode: str) -> None:
    assert np.array_equal(decode_mask(MODES[mode](), max_pixels=MAX_PIXELS), MASK // 255)


def test_the_edges_of_a_soft_or_jpeg_mask_are_cut_at_half() -> None:
    soft = cv2.GaussianBlur(MASK, (0, 0), 1.5)
    for data in (encoded(Image.fromarray(soft)), encoded(Image.fromarray(MASK), "JPEG")):
        assert iou(decode_mask(data, max_pixels=MAX_PIXELS), MASK // 255) > 0.9


def test_black_may_be_what_is_repainted() -> None:
    data = encoded(Image.fromarray(255 - MASK))
    assert np.array_equal(decode_mask(data, max_pixels=MAX_PIXELS, repaint="black"), MASK // 255)


def test_a_mask_that_is_told_to_lie_on_its_side_is_turned_upright(jpeg: Callable[..., bytes]) -> None:
    turned = jpeg(np.rot90(np.dstack([MASK] * 3)), exif=6)
    assert iou(decode_mask(turned, max_pixels=MAX_PIXELS), MASK // 255) > 0.9


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((40, 40), np.uint8), "empty_mask"),
        (np.tile(np.arange(256, dtype=np.uint8), (9, 1)), "not_a_mask"),
        (np.full((40, 40), 128, np.uint8), "not_a_mask"),
        (alpha(MASK, 130), "alpha_mask"),
    ],
)
def test_what_is_no_mask_is_refused_with_its_reason(image: np.ndarray, reason: str) -> None:
    with pytest.raises(DrawError) as refusal:
        decode_mask(encoded(Image.fromarray(image)), max_pixels=MAX_PIXELS)
    assert refusal.value.reason == reason


def test_a_mask_larger_than_allowed_is_never_decoded() -> None:
    with pytest.raises(PhotoError, match="bomb"):
        decode_mask(encoded(Image.fromarray(MASK)), max_pixels=100)


@given(st.integers(0, 2**32), st.integers(50, 600), st.integers(50, 600), st.floats(0.3, 3))
def test_a_mask_of_the_photos_shape_fits_at_any_size(seed: int, width: int, height: int, scale: float) -> None:
    size = round(width * scale), round(height * scale)
    mask = blobs(seed, size[1], size[0], grain=6, share=0.3)
    fitted = fit_mask(mask, width, height)
    assert fitted.shape == (height, width)
    assert abs(fitted.mean() - mask.mean()) < 0.06


@pytest.mark.parametrize("size", [(300, 400), (400, 400), (400, 310)])
def test_a_mask_of_another_shape_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(DrawError, match=rf"mask_size: {size[0]} x {size[1]} px, its upright photo has 400 x 300"):
        fit_mask(np.ones((size[1], size[0]), np.uint8), 400, 300)


def test_a_mask_that_is_all_or_nothing_of_the_crop_is_refused() -> None:
    crop = whole(400)
    for mask, reason in ((np.ones((400, 400), np.uint8), "full_mask"), (np.zeros((400, 400), np.uint8), "empty_mask")):
        with pytest.raises(DrawError, match=reason):
            trace_mask(mask, crop, 64)
    noise = np.random.default_rng(0).integers(0, 2, (512, 512), dtype=np.uint8)
    with pytest.raises(DrawError, match="ragged_mask"):
        trace_mask(noise, whole(512), 512)
