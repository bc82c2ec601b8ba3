"""What a picture must be like to be a mask, and what of it is repainted."""

import io
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.draws.mask_pictures import decode_mask
from pipeline.errors import DrawError, PhotoError
from schemas.pairs import Repaint
from tests.pipeline.draws.blobs import blobs, iou

HOLE = blobs(1, 60, 80, grain=4, share=0.15)
MASK = HOLE * np.uint8(255)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(content, kind)
    return content.getvalue()


def decode(data: bytes, repaint: Any = "white") -> np.ndarray:
    return decode_mask(data, max_pixels=10**6, repaint=repaint)


def labels(*values: int) -> np.ndarray:
    """The hole cut into stripes of such numbers."""
    return HOLE * np.resize(np.repeat(np.array(values, np.uint8), 9), 80)


def palette(*colours: tuple[int, int, int]) -> Image.Image:
    """Labels by number, with the colour of each; the first is of what lies outside."""
    image = Image.fromarray(labels(*range(1, len(colours))))
    image.putpalette([value for colour in colours for value in colour])
    return image


def layers(colour: tuple[int, int, int], alpha: np.ndarray) -> np.ndarray:
    return np.dstack([np.tile(np.uint8([[colour]]), (*alpha.shape, 1)), alpha])


NOISE = np.random.default_rng(0).integers(40, 200, (60, 80, 3), np.uint8)
OUTLINED = np.where(cv2.erode(HOLE, np.ones((3, 3))) == HOLE, HOLE * 15, 255).astype(np.uint8)
VOC = (0, 0, 0), (128, 0, 0), (0, 128, 0), (64, 0, 0)
# By name: a mask, and what is repainted by --repaint of each kind: the hole, what lies around it, or a reason.
KINDS: dict[str, tuple[bytes, dict[str, str]]] = {
    "black and white": (encoded(MASK), {"white": "hole", "black": "around", "nonzero": "hole", "opaque": "not_a_mask"}),
    "inverted": (encoded(255 - MASK), {"white": "around", "black": "hole"}),
    "0 and 1": (encoded(HOLE), {"white": "hole", "black": "around", "nonzero": "hole"}),
    "0 and 1 of 16 bits": (encoded(HOLE.astype(np.uint16)), {"white": "hole", "nonzero": "hole"}),
    "12 of 16 bits": (encoded(HOLE * np.uint16(4095)), {"white": "hole"}),
    "0 and 2": (encoded(HOLE * np.uint8(2)), {"white": "label_mask", "black": "label_mask", "nonzero": "hole"}),
    "0 and 100": (encoded(HOLE * np.uint8(100)), {"white": "label_mask", "nonzero": "hole"}),
    "numbers of 16 bits": (encoded(labels(1, 2).astype(np.uint16) ** 14), {"nonzero": "hole"}),
    "VOC's palette": (encoded(palette(*VOC)), {"white": "label_mask", "black": "label_mask", "nonzero": "hole"}),
    "VOC's bright classes": (
        encoded(palette((0, 0, 0), (192, 128, 128), (64, 0, 0))),
        {"white": "label_mask", "nonzero": "hole"},
    ),
    "VOC's numbers, outlined by 255": (encoded(OUTLINED), {"white": "label_mask", "nonzero": "hole"}),
    "white on dark grey": (encoded(np.maximum(MASK, np.uint8(10))), {"white": "hole", "black": "around"}),
    "a photo with a transparent hole": (
        encoded(np.dstack([NOISE, 255 - MASK])),
        {"white": "not_a_mask", "transparent": "hole"},
    ),
    "red on nothing": (
        encoded(layers((255, 0, 0), MASK)),
        {"white": "alpha_mask", "nonzero": "hole", "opaque": "hole", "transparent": "around"},
    ),
    "white with a transparent hole": (
        encoded(layers((255, 255, 255), 255 - MASK)),
        {"white": "alpha_mask", "black": "alpha_mask", "opaque": "around", "transparent": "hole"},
    ),
    "red on black": (encoded(np.dstack([MASK, MASK * 0, MASK * 0])), {"white": "label_mask", "nonzero": "hole"}),
    "CMYK": (encoded(Image.fromarray(MASK).convert("CMYK"), "TIFF"), {"white": "hole"}),
    "floats": (encoded(HOLE.astype(np.float32), "TIFF"), {"white": "hole", "black": "around"}),
    "grey": (encoded(np.full((9, 9), 130, np.uint8)), {"white": "not_a_mask", "black": "not_a_mask"}),
    "glass": (encoded(layers((9, 9, 9), np.uint8(100) + MASK // 9)), {"opaque": "not_a_mask"}),
}


@pytest.mark.parametrize(("name", "repaint"), [(name, kind) for name, (_, by) in KINDS.items() for kind in by])
def test_a_mask_is_taken_as_its_flag_says_or_refused_with_its_reason(name: str, repaint: Any) -> None:
    data, outcomes = KINDS[name]
    outcome = outcomes[repaint]
    if outcome in ("hole", "around"):
        assert np.array_equal(decode(data, repaint), HOLE if outcome == "hole" else 1 - HOLE)
        return
    with pytest.raises(DrawError) as refusal:
        decode(data, repaint)
    assert refusal.value.reason == outcome


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("0 and 2", ["nonzero"]),
        ("red on nothing", ["opaque", "transparent"]),
        ("a photo with a transparent hole", ["opaque", "transparent"]),
    ],
)
def test_a_refusal_names_the_flags_that_would_do(name: str, flags: list[str]) -> None:
    with pytest.raises(DrawError) as refusal:
        decode(KINDS[name][0])
    assert all(f"--repaint {flag}" in refusal.value.detail for flag in flags)
    assert set(flags) < set(get_args(Repaint))


@given(st.integers(0, 2**32), st.floats(0.1, 2.5), st.floats(0.05, 0.6))
def test_masks_with_edges_soft_over_a_fortieth_of_the_side_are_masks(seed: int, percent: float, share: float) -> None:
    centres = np.random.default_rng(seed).uniform(0.25, 0.75, 2) * 200
    hard = np.zeros((200, 200), np.uint8)
    cv2.circle(hard, (int(centres[0]), int(centres[1])), int(20 + 70 * share), 255, -1)
    soft = cv2.GaussianBlur(hard, (0, 0), percent / 100 * 200)
    assert iou(decode(encoded(soft)), hard // 255) > 0.8


@given(st.integers(0, 2**32))
def test_photos_are_no_masks(seed: int) -> None:
    photo = cv2.resize(np.random.default_rng(seed).normal(128, 50, (6, 6, 3)).clip(0, 255).astype(np.uint8), (60, 60))
    with pytest.raises(DrawError, match="not_a_mask"):
        decode(encoded(photo))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_mask_of_numbers_that_are_none_is_refused(value: float) -> None:
    with pytest.raises(PhotoError, match="not_finite"):
        decode(encoded(np.where(HOLE, np.float32(value), np.float32(0)), "TIFF"))
