"""A photo is read as it looks, whatever its colour space, depth and orientation say."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.decoding.colour import on_backdrop
from pipeline.decoding.decode import decode_photo, decode_picture, upright_size
from pipeline.decoding.profiles import from_srgb, to_srgb
from pipeline.errors import PhotoError
from tests.pipeline.decoding.spaces import SRGB, as_shown, grey, wide

MAX_PIXELS = 1_000_000
PIXELS = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))
CLEAR = np.dstack([PIXELS, np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))])
COLOUR, GREY = Image.fromarray(PIXELS), Image.fromarray(PIXELS).convert("L")


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def decode(data: bytes) -> Any:
    return decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=MAX_PIXELS, min_px=1).pixels


SPACES: dict[str, tuple[bytes, bytes | None]] = {
    "a wide space in a JPEG": (encoded(COLOUR, "JPEG", icc_profile=wide()), wide()),
    "a wide space in a PNG": (encoded(COLOUR, icc_profile=wide(2.2)), wide(2.2)),
    "a wide space and alpha": (encoded(Image.fromarray(CLEAR), "WEBP", lossless=True, icc_profile=wide()), wide()),
    "a wide space and a palette": (encoded(COLOUR.quantize(60), icc_profile=wide()), wide()),
    "a wide space, of grey": (encoded(GREY, "JPEG", icc_profile=wide()), wide()),
    "linear grey": (encoded(GREY, icc_profile=grey()), grey()),
    "linear grey in a JPEG": (encoded(GREY, "JPEG", icc_profile=grey()), grey()),
    "no profile": (encoded(COLOUR), None),
    "no profile, alpha": (encoded(Image.fromarray(CLEAR)), None),
    "damaged": (encoded(COLOUR, icc_profile=b"no profile " * 30), None),
    "another kind's": (encoded(COLOUR, icc_profile=grey()), None),
}


@pytest.mark.parametrize("name", SPACES)
def test_a_photo_is_read_as_viewers_with_colour_management_show_it(name: str) -> None:
    data, profile = SPACES[name]
    shown = as_shown(Image.open(io.BytesIO(data)), profile).astype(int)
    assert np.abs(decode(data) - shown).max() <= (3 if "JPEG" in name or "alpha" in name else 0)
    assert np.array_equal(on_backdrop(decode_picture(data, max_pixels=MAX_PIXELS)), decode(data))


@pytest.mark.parametrize("gamma", [1.8, 2.2])
def test_colours_come_back_from_a_space_as_they_went_there(gamma: float) -> None:
    again = to_srgb(from_srgb(PIXELS, wide(gamma)), wide(gamma))
    assert np.abs(again.astype(int) - PIXELS).mean() < 1  # 256 levels of a wide space are coarse
    assert np.abs(to_srgb(PIXELS, wide(gamma)).astype(int) - PIXELS).mean() > 10


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("more", [False, True])
def test_xmp_alone_turns_nothing(kind: str, more: bool) -> None:
    options: dict[str, Any] = {"xmp": XMP} if kind in ("JPEG", "WEBP") else {}
    if kind == "PNG":
        from PIL import PngImagePlugin

        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    if kind == "TIFF":
        options["tiffinfo"] = {700: XMP}
    elif more:  # EXIF that says nothing of orientation
        tags = Image.Exif()
        tags[271] = "maker"
        options["exif"] = tags
    data = encoded(COLOUR, kind, **options)
    assert b"tiff:Orientation" in data
    assert decode(data).shape == (48, 64, 3) and upright_size(data, max_pixels=MAX_PIXELS) == (64, 48)
    assert np.abs(decode(data).astype(int) - PIXELS).mean() < 8


def deep(pixels: Any, kind: str = ".png") -> bytes:
    """Encode values of 16 bits: [h, w], or [h, w, 3 or 4] RGB."""
    blue_first = pixels if pixels.ndim == len("hw") else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return cv2.imencode(kind, blue_first.astype(np.uint16))[1].tobytes()


@pytest.mark.parametrize("white", [4095, 65535])
@pytest.mark.parametrize("kind", [".png", ".tif"])
@pytest.mark.parametrize("of", ["grey", "colour", "alpha"])
def test_12_bits_in_a_file_of_16_are_as_bright_as_16(white: int, kind: str, of: str) -> None:
    pixels = PIXELS[..., 0] if of == "grey" else PIXELS if of == "colour" else CLEAR | np.uint8([[[0, 0, 0, 255]]])
    values = np.rint(pixels / pixels.max() * white)
    found = decode(deep(values, kind)).astype(int)
    expected = np.dstack([values] * 3 if of == "grey" else [values[..., :3]]) / white * 255
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("kind", [".png", ".tif"])
@pytest.mark.parametrize("pixels", [PIXELS[..., 0], PIXELS], ids=["grey", "colour"])
def test_a_file_of_16_bits_that_is_dark_at_12_is_a_drop(kind: str, pixels: Any) -> None:
    with pytest.raises(PhotoError, match="too_dark"):
        decode(deep(np.rint(pixels / 255 * 200), kind))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_photo_of_numbers_that_are_none_is_a_drop(value: float) -> None:
    shares = PIXELS[..., 0].astype(np.float32) / 255
    assert np.abs(decode(encoded(Image.fromarray(shares), "TIFF"))[..., 0].astype(int) - PIXELS[..., 0]).max() <= 1
    shares[3, 4] = value
    with pytest.raises(PhotoError, match="not_finite"):
        decode(encoded(Image.fromarray(shares), "TIFF"))


def test_profiles_that_mean_srgb_leave_pixels_as_they_are() -> None:
    from PIL import ImageCms

    own = ImageCms.ImageCmsProfile(SRGB).tobytes()
    assert np.array_equal(decode(encoded(COLOUR, icc_profile=own)), PIXELS)
    assert decode_picture(encoded(COLOUR, icc_profile=own), max_pixels=MAX_PIXELS).space == b""
