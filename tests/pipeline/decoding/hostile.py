"""Photos made to do harm: builders of files, and a table of them with the outcomes that are allowed."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(width).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height)).convert(mode)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg_with(*segments: bytes) -> bytes:
    data = saved(picture())
    return data[:2] + b"".join(segments) + data[2:]


def jpeg_of_size(width: int, height: int, data: bytes | None = None) -> bytes:
    """A small JPEG whose header states another size."""
    data = data or saved(picture())
    at = next(place for mark in (b"\xff\xc0", b"\xff\xc2") if (place := data.find(mark)) > 0)
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def png_of(width: int, height: int, *chunks: bytes, color_type: int = 0, rows: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, color_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tags(*entries: tuple[int, int, int, int], next_at: int = 0) -> bytes:
    """A TIFF directory: tag, type, count, value or offset."""
    packed = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + packed + struct.pack("<L", next_at)


def exif(*entries: tuple[int, int, int, int], padding: int = 0, next_at: int = 0) -> bytes:
    return b"Exif\0\0" + tags(*entries, next_at=next_at) + bytes(padding)


def tiff_of_tile(side: int) -> bytes:
    """100 x 100 px in one tile of side x side zeros."""
    rows = zlib.compress(bytes(1 << 20))
    fields = {256: 100, 257: 100, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8 + 2 + 120 + 4}
    entries = [(tag, 4, 1, value) for tag, value in fields.items()]
    return tags(*entries, (325, 4, 1, len(rows))) + rows


def webp_of_canvas(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    content = b"WEBPVP8X" + struct.pack("<L", 10) + bytes(4) + sides
    return b"RIFF" + struct.pack("<L", len(content)) + content


def progressive_with_scans(count: int) -> bytes:
    data = saved(picture(512, 512), progressive=True)
    at = data.rfind(b"\xff\xda")
    scan = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
    return data[:-2] + scan * count + b"\xff\xd9"


def film(kind: str, frames: int) -> bytes:
    first, *rest = [picture(40 + i % 2, 40).resize((40, 40)) for i in range(frames)]
    return saved(first, kind, save_all=True, append_images=rest)


def gif_of_blocks(count: int) -> bytes:
    """A GIF with a comment of so many one-byte blocks between its picture and its end."""
    return saved(picture(), "GIF")[:-1] + b"!\xfe" + b"\1a" * count + b"\0;"


def gif_of_comments(count: int) -> bytes:
    """A GIF with so many comments ahead of its picture."""
    data = saved(picture(), "GIF")
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:at] + b"!\xfe\1a\0" * count + data[at:]


def bmp_of_runs(count: int) -> bytes:
    header = struct.pack("<LllHHLLllLL", 40, 20_000, 8_000, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<LHHL", 0, 0, 0, 54 + 1024) + header + bytes(1024) + b"\1\7" * count


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XML = b'<x:xmpmeta xmlns:tiff="t" tiff:Orientation="6"/>'

# Each builds a file; the outcomes are those allowed.
HOSTILE: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "one byte": (lambda: b"\xff", {"not_an_image"}),
    "zeros": (lambda: bytes(100_000), {"not_an_image"}),
    "HTML": (lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>", {"not_an_image"}),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>', {"not_an_image"}),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n", {"not_an_image"}),
    "PPM": (lambda: b"P6 64 64 255\n" + bytes(64 * 64 * 3), {"not_an_image"}),
    "ICO": (lambda: saved(picture(), "ICO"), {"not_an_image"}),
    "PDF": (lambda: saved(picture(), "PDF"), {"not_an_image"}),
    "JPEG of a marker alone": (lambda: b"\xff\xd8", {"not_an_image", "corrupt"}),
    "JPEG without scans": (lambda: saved(picture())[:300] + b"\xff\xd9", {"corrupt", "not_an_image", "truncated"}),
    "JPEG that ends in its header": (lambda: saved(picture())[:200], {"corrupt", "truncated", "not_an_image"}),
    "JPEG of 65,500 x 2,700 px in 1 KB": (lambda: jpeg_of_size(65_500, 2_700), {"truncated"}),
    "JPEG of 65,535 x 65,535 px": (lambda: jpeg_of_size(65_535, 65_535), {"bomb"}),
    "JPEG of 0 x 0 px": (lambda: jpeg_of_size(0, 0), {"too_small", "not_an_image", "corrupt"}),
    "JPEG filled up to 48 MP": (
        lambda: jpeg_of_size(8_000, 6_000) + bytes(100_000),
        {"truncated", "corrupt", "sample"},
    ),
    "JPEG of 5,000 scans": (lambda: progressive_with_scans(5_000), {"too_many_scans"}),
    "JPEG of 50 scans": (lambda: progressive_with_scans(50), {"sample"}),
    "JPEG of 40,000 empty segments": (lambda: jpeg_with(segment(0xFE, b"") * 40_000), {"too_many_parts"}),
    "JPEG of 30 MiB of segments": (lambda: jpeg_with(segment(0xE5, bytes(65_000)) * 480), {"too_many_parts"}),
    "JPEG of fill bytes": (lambda: jpeg_with(b"\xff" * 4_000_000), {"too_many_parts"}),
    "JPEG of junk between segments": (lambda: jpeg_with(segment(0xFE, b"a"), bytes(4_000_000)), {"too_many_parts"}),
    "JPEG whose EXIF has 5,000 overlapping values": (
        lambda: jpeg_with(segment(0xE1, exif(*[(i, 5, 600, 8) for i in range(5_000)]))),
        {"too_many_parts"},
    ),
    "JPEG whose EXIF has 2 M fractions": (
        lambda: jpeg_with(
            segment(0xE1, exif((0x10F, 5, 2_000_000, 38))), segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 250
        ),
        {"too_many_parts"},
    ),
    "JPEG whose EXIF points at itself": (
        lambda: jpeg_with(segment(0xE1, exif((0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0xA005, 4, 1, 8), next_at=8))),
        {"sample"},
    ),
    "JPEG whose EXIF ends early": (lambda: jpeg_with(segment(0xE1, exif((0x112, 3, 1, 6))[:20])), {"sample"}),
    "JPEG with EXIF of noise": (
        lambda: jpeg_with(segment(0xE1, b"Exif\0\0MM\0*" + np.random.default_rng(0).bytes(60_000))),
        {"sample"},
    ),
    "JPEG with an empty EXIF": (lambda: jpeg_with(segment(0xE1, b"Exif\0\0")), {"sample"}),
    "JPEG with a profile of noise": (lambda: saved(picture(), icc_profile=bytes(range(256)) * 99), {"sample"}),
    "CMYK JPEG with a profile of noise": (
        lambda: saved(picture(mode="CMYK"), icc_profile=bytes(range(256)) * 99),
        {"sample"},
    ),
    "CMYK JPEG with a profile for RGB": (lambda: saved(picture(mode="CMYK"), icc_profile=SRGB), {"sample"}),
    "RGB JPEG whose profile says it is a table": (
        lambda: saved(picture(), icc_profile=SRGB[:132] + b"A2B0" + SRGB[136:]),
        {"sample", "corrupt"},
    ),
    "CMYK JPEG with 12 MiB of profile": (
        lambda: saved(picture(mode="CMYK"), icc_profile=bytes(12 << 20)),
        {"sample"},
    ),
    "JPEG with a second JPEG behind": (lambda: saved(picture()) * 2, {"sample"}),
    "JPEG with a film behind": (
        lambda: saved(picture()) + np.random.default_rng(0).bytes(20 << 20) + b"\xff\xda" * 200,
        {"sample"},
    ),
    "PNG of 2**31 - 1 px": (lambda: png_of(2**31 - 1, 1), {"bomb"}),
    "PNG of one row of 180 MP": (lambda: png_of(180_000_000, 1), {"bomb"}),
    "PNG of 13,000 x 13,000 zeros": (
        lambda: png_of(13_000, 13_000, rows=zlib.compress(bytes(13_001 * 13_000), 1)),
        {"sample"},
    ),
    "PNG without rows": (lambda: png_of(10_000, 10_000), {"corrupt", "truncated"}),
    "PNG with 200,000 chunks": (lambda: png_of(64, 64, chunk(b"abCd", b"") * 200_000), {"too_many_parts"}),
    "PNG with text of 100 MB": (
        lambda: png_of(64, 64, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000), 1))),
        {"corrupt", "not_an_image", "truncated"},
    ),
    "PNG with a profile of 100 MB": (
        lambda: png_of(64, 64, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000_000), 1))),
        {"corrupt", "not_an_image", "truncated"},
    ),
    "PNG whose EXIF has 4 M fractions": (
        lambda: png_of(
            64,
            64,
            chunk(b"eXIf", tags((0x10F, 5, 4_000_000, 8)) + bytes(32_000_000)),
            rows=zlib.compress(bytes(65 * 64)),
        ),
        {"sample"},
    ),
    "PNG of 4,000,000,000 frames": (
        lambda: png_of(64, 64, chunk(b"acTL", struct.pack(">LL", 2**31, 0)), rows=zlib.compress(bytes(65 * 64))),
        {"animated", "sample"},
    ),
    "animated GIF": (lambda: film("GIF", 3), {"animated"}),
    "animated WebP": (lambda: film("WEBP", 3), {"animated"}),
    "animated PNG": (lambda: film("PNG", 3), {"animated"}),
    "TIFF of several pages": (lambda: film("TIFF", 3), {"animated"}),
    "GIF of 5,000 frames": (lambda: film("GIF", 2)[:-1] + film("GIF", 2)[800:-1] * 5_000, {"animated", "corrupt"}),
    "GIF with a comment of 2 M blocks": (lambda: gif_of_blocks(2_000_000), {"too_many_parts"}),
    "GIF with 500,000 comments": (lambda: gif_of_comments(500_000), {"too_many_parts"}),
    "WebP with a canvas of 2**32 px": (lambda: webp_of_canvas(65_535, 65_535), {"bomb"}),
    "WebP of a canvas alone": (lambda: webp_of_canvas(100, 100), {"corrupt", "not_an_image"}),
    "TIFF with one tile of 3,600 MP": (lambda: tiff_of_tile(60_000), {"bomb"}),
    "TIFF whose directory is its header": (lambda: b"II*\0" + bytes(4), {"corrupt", "not_an_image"}),
    "TIFF with 65,535 tags": (
        lambda: tags(*[(i, 4, 1, 64) for i in range(65_535)]),
        {"too_many_parts"},
    ),
    "TIFF with tags of 1 TB": (
        lambda: tags(*[(i, 7, 8_000_000, 8) for i in range(5_000)]) + bytes(8_000_000),
        {"too_many_parts"},
    ),
    "TIFF with 4 M strips": (
        lambda: tags((256, 4, 1, 64), (257, 4, 1, 64), (273, 4, 4_000_000, 8)) + bytes(16_000_000),
        {"too_many_parts"},
    ),
    "TIFF whose pages form a ring": (
        lambda: tags(*[(t, 4, 1, v) for t, v in ((256, 64), (257, 64), (258, 8), (262, 1), (273, 8))], next_at=8),
        {"animated", "corrupt", "truncated", "not_an_image"},
    ),
    "big TIFF of 2**60 tags": (
        lambda: b"II" + struct.pack("<HHHQQ", 43, 8, 0, 16, 2**60) + bytes(1_000_000),
        {"too_many_parts"},
    ),
    "BMP of 160 MP in 1 M runs": (lambda: bmp_of_runs(1_100_000), {"too_many_parts"}),
    "BMP of negative width": (
        lambda: b"BM" + struct.pack("<LHHL", 0, 0, 0, 54) + struct.pack("<LllHHLLllLL", 40, -9, 9, 1, 24, *[0] * 6),
        {"corrupt", "not_an_image", "too_small", "bomb"},
    ),
    "JPEG 2000 whose boxes lie about its size": (
        lambda: (jp2 := saved(picture(512, 512), "JPEG2000")).replace(
            jp2[jp2.find(b"ihdr") :][:12], b"ihdr" + struct.pack(">LL", 64, 64)
        ),
        {"corrupt"},
    ),
    "JPEG 2000 of 2**31 px a side": (
        lambda: (jp2 := saved(picture(), "JPEG2000")).replace(
            jp2[jp2.find(b"ihdr") :][:12], b"ihdr" + struct.pack(">LL", 2**31, 2**31)
        ),
        {"bomb", "corrupt"},
    ),
}
