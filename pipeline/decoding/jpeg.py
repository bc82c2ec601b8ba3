"""JPEG: our own pictures <-> JPEG bytes, the same bytes every time."""

import numpy as np

from pipeline.arrays import Pixels

JPEG_QUALITY = 95


def encode_jpeg(pixels: Pixels) -> bytes:
    """Encode [h, w, 3] RGB as JPEG of quality 95."""
    import cv2  # here, since most readers of datasets look at no picture

    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return encoded.tobytes()


def decode_jpeg(data: bytes) -> Pixels:
    """Decode a stored JPEG to [h, w, 3] RGB.

    Raises:
        ValueError: it is not a JPEG.
    """
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None  # cv2 would raise
    if pixels is None:
        raise ValueError("not a JPEG")
    return pixels  # type: ignore[return-value]
