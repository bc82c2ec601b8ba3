import numpy as np
import pytest

from pipeline.decoding.jpeg import decode_jpeg, encode_jpeg


@pytest.mark.parametrize("data", [b"", b"\0" * 9, encode_jpeg(np.zeros((8, 8, 3), np.uint8))[:9]])
def test_what_is_no_jpeg_is_refused_an_empty_one_too(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a JPEG"):
        decode_jpeg(data)
