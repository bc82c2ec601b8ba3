"""Headers: a photo's bytes -> nothing, or PhotoError where opening them would cost more than a photo is worth.

Pillow believes what a header says before anybody can ask it for the photo's size: a 64 KB EXIF block can name gigabytes
of values, a WebP a canvas of 2**32 px, and 64 MiB of empty segments are each a Python object. These checks come first.
"""

import io
import re
import struct
from collections.abc import Iterator
from typing import Any

from pipeline.errors import PhotoError

# Each bound is far above what cameras and editors write, and low enough that a hostile photo costs seconds at most.
OPEN_READS = 20_000  # until the header is parsed: Pillow makes a Python object a read; a photo takes about 100
LOAD_READS = 2_000_000  # until the pixels are decoded: about 1 us each, 2 s in all
MAX_HEADER_BYTES = 20 << 20  # of a JPEG: Pillow keeps them all; the largest colour profile, 255 segments, fits
MAX_SEGMENTS = 2000  # of a JPEG before its first scan: a Python object each; that profile, EXIF, XMP and more fit
MAX_SCANS = 100  # of a JPEG: each goes over all pixels again; encoders make about 10
MAX_SCANNED_PIXELS = 6_000_000_000  # scans x pixels, which is what decoding costs: 33 scans of 180 MP
MAX_NUMBERS_BYTES = 4 << 20  # of numbers in the tags of EXIF or TIFF: each number becomes a Python object
PIXELS_A_BYTE = 512  # of a JPEG at most: it spends at least one bit on each block of 8 x 8

_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_EXIF = b"Exif\0\0"
_ARITHMETIC = (b"\xff\xc9", b"\xff\xca")  # the only kind of JPEG that can spend less than a bit
_UNIT_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # by tag type
_TEXT_TYPES = (1, 2, 6, 7)
_SUB_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


class MeteredBytes(io.BytesIO):
    """A photo's bytes as a file that is read in a bounded number of pieces.

    Raises:
        PhotoError: from `read`, beyond the bound.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads = OPEN_READS
        self._bytes = 2 * len(data) + (1 << 20)  # parts that overlap are read again and again

    def opened(self) -> None:
        """Go over to the bounds of decoding: any number of bytes, in more pieces."""
        self._reads = LOAD_READS
        self._bytes = 1 << 62

    def read(self, size: int | None = -1, /) -> bytes:
        """Read like any file."""
        piece = super().read(size)
        self._reads -= 1
        self._bytes -= len(piece)
        if self._reads < 0 or self._bytes < 0:
            raise PhotoError("too_many_parts", "its chunks, blocks or tags are too many, or overlap")
        return piece


def check_header(data: bytes, *, max_pixels: int) -> None:
    """Refuse bytes that would cost too much to open.

    Raises:
        PhotoError: `too_many_parts` or `bomb`.
    """
    if data.startswith(b"\xff\xd8"):
        _check_segments(data)
    elif data.startswith((b"II", b"MM")):
        check_tags(data)
    elif data[8:16] == b"WEBPVP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        if width * height > max_pixels:
            raise PhotoError("bomb", f"{width} x {height} px")


def check_scans(data: bytes, *, pixels: int) -> None:
    """Refuse a JPEG that is too short for its pixels, or goes over them too often.

    Raises:
        PhotoError: `truncated` or `too_many_scans`.
    """
    if len(data) * PIXELS_A_BYTE < pixels and not any(marker in data for marker in _ARITHMETIC):
        raise PhotoError("truncated", f"{len(data)} bytes cannot hold {pixels} px")
    if _is_one_scan(data):
        return
    allowed = min(MAX_SCANS, MAX_SCANNED_PIXELS // pixels)
    # Only what looks like more scans than allowed, as a film behind the photo may, is worth walking through.
    if data.count(b"\xff\xda") > allowed and _count_scans(data, allowed) > allowed:
        raise PhotoError("too_many_scans", f"more than {allowed} scans of {pixels} px")


def check_tags(directory: bytes) -> None:
    """Refuse EXIF, or a TIFF, whose first directory and the ones below it name more values than photos have.

    Args:
        directory: from the byte order mark on.

    Raises:
        PhotoError: `too_many_parts`.
    """
    # Values that share bytes of the file are each unpacked: a short file can name gigabytes of them.
    all_bytes = number_bytes = 0
    for kind, size in _tags(directory):
        all_bytes += size
        number_bytes += 0 if kind in _TEXT_TYPES else size
    if all_bytes > 2 * len(directory) + (1 << 16) or number_bytes > MAX_NUMBERS_BYTES:
        raise PhotoError("too_many_parts", f"tags of {all_bytes} bytes, {number_bytes} of them numbers")


def _check_segments(data: bytes) -> None:
    """Check the segments of a JPEG before its first scan, and the tags of all its EXIF taken together."""
    exif = bytearray()
    for count, (marker, start, end) in enumerate(_segments(data, 2)):
        if marker == _SOS:
            break
        if marker == _APP1 and data.startswith(_EXIF, start):
            exif += data[start + len(_EXIF) : end]
        if count > MAX_SEGMENTS or end > MAX_HEADER_BYTES:
            raise PhotoError("too_many_parts", f"{count} segments, {end} bytes before the first scan")
    check_tags(bytes(exif))


def _segments(data: bytes, place: int) -> Iterator[tuple[int, int, int]]:
    """Walk through a JPEG's segments, passing over fill bytes and junk between them.

    Yields:
        The marker, and start and end of the content.
    """
    for _ in range(10 * MAX_SEGMENTS):
        place = data.find(b"\xff", place)
        if place < 0 or place + 3 >= len(data):
            return
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker <= 1 or 0xD0 <= marker <= 0xD9:
            place += 2
        else:
            end = place + 2 + max(2, int.from_bytes(data[place + 2 : place + 4], "big"))
            yield marker, place + 4, end
            place = end
    raise PhotoError("too_many_parts", f"more than {10 * MAX_SEGMENTS} markers before the first scan")


def _is_one_scan(data: bytes) -> bool:
    """Whether the first scan of a sequential JPEG has all its components: decoders then read no other scan."""
    frames = []
    for marker, start, _ in _segments(data, 2):
        if marker in _FRAMES:
            frames.append((marker, data[start + 5 : start + 6]))
        if marker == _SOS:
            return len(frames) == 1 and frames[0] in [(kind, data[start : start + 1]) for kind in _SEQUENTIAL]
    return False


def _count_scans(data: bytes, allowed: int) -> int:
    """Count the scans up to the end of the image, at most `allowed` + 1."""
    place = next((end for marker, _, end in _segments(data, 2) if marker == _SOS), len(data))
    scans = 1
    for _ in range(10 * MAX_SEGMENTS):
        marker = _NEXT_MARKER.search(data, place)
        if marker is None or data[marker.start() + 1] == _EOI or scans > allowed:
            return scans
        scans += data[marker.start() + 1] == _SOS
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return allowed + 1


def _tags(directory: bytes) -> Iterator[tuple[int, int]]:
    """List the tags of the first directory of a TIFF, and of the directories below it that Pillow reads.

    Yields:
        Type and size in bytes of each tag whose values lie inside the data.
    """
    order = {b"II": "<", b"MM": ">"}.get(directory[:2])
    if order is None or len(directory) < 8:
        return
    big = struct.unpack_from(f"{order}H", directory, 2)[0] == 43
    # BigTIFF has 8-byte numbers where TIFF has 4: a directory is a count, then entries of tag, type, count and value,
    # or, where the value is longer than a word, its offset.
    word, count_format, entry = ("Q", "Q", "HHQQ") if big else ("L", "H", "HHLL")
    waiting = [_number(directory, f"{order}{word}", 8 if big else 4)]
    for position in range(1 + len(_SUB_DIRECTORIES)):
        if position >= len(waiting):
            return
        first = waiting[position]
        count = _number(directory, f"{order}{count_format}", first)
        start, step = first + struct.calcsize(f"<{count_format}"), struct.calcsize(f"<{entry}")
        if min(count, (len(directory) - start) // step) > OPEN_READS:
            raise PhotoError("too_many_parts", f"{count} tags")
        for at in range(start, min(start + count * step, len(directory) - step + 1), step):
            tag, kind, values, offset = struct.unpack_from(f"{order}{entry}", directory, at)
            if tag in _SUB_DIRECTORIES:
                waiting.append(offset)
            size = values * _UNIT_BYTES.get(kind, 0)
            if size <= (8 if big else 4) or offset + size <= len(directory):
                yield kind, size


def _number(data: bytes, layout: str, at: int) -> int:
    """Read a number, or 0 where the data ends."""
    value: Any = struct.unpack_from(layout, data, at)[0] if at + struct.calcsize(layout) <= len(data) else 0
    return int(value)
