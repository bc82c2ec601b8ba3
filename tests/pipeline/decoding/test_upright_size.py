"""A photo's size is known from its header, turned as it will be decoded."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.decoding.decode import decode_photo, upright_size
from pipeline.errors import PhotoError

MAX_PIXELS = 10_000


def _encode(format_name: str, orientation: int) -> bytes:
    content, tags = io.BytesIO(), Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(content, format_name, exif=tags)
    return content.getvalue()


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_decoded_photo(format_name: str, orientation: int) -> None:
    data = _encode(format_name, orientation)
    photo = decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=MAX_PIXELS, min_px=1)
    height, width, _ = photo.pixels.shape
    assert upright_size(data, max_pixels=MAX_PIXELS) == (width, height)


def test_no_pixel_is_needed_but_the_limits_hold() -> None:
    data = _encode("PNG", 6)
    cut = data[: data.index(b"IDAT") + 8]
    assert upright_size(cut, max_pixels=MAX_PIXELS) == (30, 50)
    with pytest.raises(PhotoError, match="bomb"):
        upright_size(data, max_pixels=1000)
    with pytest.raises(PhotoError, match="not_an_image"):
        upright_size(b"no picture", max_pixels=MAX_PIXELS)
