from typing import Any

import numpy as np
import pytest
from PIL import Image

from pbe.evaluation.methods.checks import check_picture, check_pictures
from pbe.evaluation.methods.protocol import CaseError
from tests.pbe.evaluation.methods.opened_cases import opened_case

CASE = opened_case()
PICTURE = CASE.source[::-1]

WRONG = {
    "nothing": (None, "gives nothing; a picture is an array"),
    "a path": ("a.png", r"gives a builtins\.str"),
    "floats": (PICTURE / 255, r"array of float64; a picture has uint8"),
    "NaN": (np.where(CASE.mask[..., None], np.nan, PICTURE), "840 of its 6720 numbers not finite"),
    "infinite": (np.full((40, 56, 3), np.inf, np.float16), "6720 of its 6720 numbers not finite"),
    "integers": (PICTURE.astype(np.int64), "array of int64"),
    "a mask": (CASE.mask, "array of bool"),
    "objects": (np.full((40, 56, 3), None), "array of object"),
    "grey": (PICTURE[..., 0], r"shape \[40, 56\]; a picture has \[h, w, 3\]"),
    "with alpha": (np.dstack([PICTURE, PICTURE[..., :1]]), r"shape \[40, 56, 4\]"),
    "channels first": (PICTURE.transpose(2, 0, 1), r"shape \[3, 40, 56\]"),
    "a batch": (PICTURE[None], r"shape \[1, 40, 56, 3\]"),
    "smaller": (PICTURE[::2, ::2], "28 x 20 px for a source of 56 x 40"),
    "turned": (PICTURE.transpose(1, 0, 2), "40 x 56 px for a source of 56 x 40"),
    "empty": (PICTURE[:0], "56 x 0 px"),
    "a smaller image": (Image.new("RGB", (28, 20)), "28 x 20 px"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_picture_of_its_case_is_refused_in_words(what: str) -> None:
    given, message = WRONG[what]
    with pytest.raises(CaseError, match=message):
        check_picture(given, CASE)


def test_a_picture_is_taken_as_it_is_and_shares_no_memory_with_what_was_given() -> None:
    taken = check_picture(PICTURE, CASE)
    assert np.array_equal(taken, PICTURE) and taken.flags.c_contiguous
    assert not np.shares_memory(taken, CASE.source)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_a_pil_image_of_any_mode_is_taken(mode: str) -> None:
    taken = check_picture(Image.fromarray(np.full((40, 56, 3), 204, np.uint8)).convert(mode), CASE)
    assert taken.shape == (40, 56, 3) and np.ptp(taken.reshape(-1, 3), axis=0).tolist() == [0, 0, 0]
    assert abs(taken.astype(int) - 204).max() <= 2


def test_pictures_come_by_variant_in_the_methods_order() -> None:
    given = {"hole": PICTURE, "crop": CASE.source}
    assert list(check_pictures(given, CASE, ("crop", "hole"))) == ["crop", "hole"]
    assert list(check_pictures(PICTURE, CASE, ("",))) == [""]


@pytest.mark.parametrize(
    ("given", "variants", "message"),
    [
        (PICTURE, ("crop", "hole"), r"a numpy\.ndarray, not a picture for each of its variants crop, hole"),
        ({"crop": PICTURE}, ("crop", "hole"), "for the variants crop; it has crop, hole"),
        ({"crop": PICTURE, "paste": PICTURE}, ("crop",), "for the variants crop, paste; it has crop"),
        ({"crop": PICTURE}, ("",), "for the variants crop; it has none"),
        ({"crop": PICTURE, "hole": None}, ("crop", "hole"), "gives nothing"),
        (CaseError("no label"), ("",), "^no label$"),
    ],
)
def test_other_variants_than_the_methods_are_refused(given: Any, variants: tuple[str, ...], message: str) -> None:
    with pytest.raises(CaseError, match=message):
        check_pictures(given, CASE, variants)
