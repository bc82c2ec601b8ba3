"""Photos and ids made to do harm: each gives a sample or a reason, in little time and bounded memory."""

import io
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.draws.draw import DrawRecipe, draw_sample
from pipeline.errors import PhotoError
from pipeline.photos import colour
from pipeline.photos import decode as photos
from pipeline.photos.decode import decode_photo
from pipeline.photos.fingerprints import perceptual_hash
from tests.benchmarks import fuzz

SLOWEST_SECONDS = 10.0  # alone, each takes below 3


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


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore")
def test_a_hostile_photo_has_its_reason_in_seconds(name: str) -> None:
    build, allowed = HOSTILE[name]
    data = build()
    began = time.process_time()
    outcome = fuzz.try_photo(data)
    assert outcome in allowed
    assert time.process_time() - began < SLOWEST_SECONDS


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.filterwarnings("ignore")
def test_mutated_photos_give_a_sample_or_a_reason(sample_folder: Path, kind: str) -> None:
    bases = [path.read_bytes() for path in sorted((sample_folder / "train").iterdir())]
    small = fuzz.small_jpegs(bases) if kind == "JPEG" else fuzz.small_others(bases)
    outcomes = [fuzz.try_photo(fuzz.mutated(1, number, small)) for number in range(300)]
    assert 0.2 < outcomes.count("sample") / len(outcomes) < 0.9
    assert len(set(outcomes)) > 3


RECIPE = DrawRecipe(seed=0, resolution=64, long_boxes="squash", min_box_px=1)


@pytest.mark.parametrize(
    ("width", "height", "kind"),
    [(65_500, 40, "JPEG"), (40, 65_500, "JPEG"), (65_536, 40, "PNG"), (40, 65_536, "PNG"), (1 << 20, 32, "PNG")],
)
def test_photos_with_very_long_edges_are_drawn(width: int, height: int, kind: str) -> None:
    content = saved(picture(width, height, "L"), kind)
    photo = decode_photo(content, rotation=None, boxes_frame="stored", max_pixels=10**8, min_px=32)
    assert photo.pixels.shape == (height, width, 3)
    assert len(perceptual_hash(photo.pixels)) == 16
    for draw, box in enumerate([(0.0, 0.0, 1.0, 1.0), (0.4, 0.1, 0.9, 0.9), (0.5, 0.2, 0.5005, 0.8)] * 3):
        try:
            sample = draw_sample(photo, box, recipe=RECIPE, image_id="long", box_id=0, draw=draw)
        except PhotoError as error:
            assert error.reason == "box_too_small"
            continue
        assert sample.source.shape == (64, 64, 3)
        assert sample.mask.any()


def test_a_photo_longer_than_decoders_go_is_a_bomb() -> None:
    with pytest.raises(PhotoError, match="bomb"):
        decode(png_of((1 << 20) + 1, 32))


def decode(data: bytes) -> np.ndarray:
    return decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=10**8, min_px=4).pixels


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    upright = decode(saved(picture()))
    for kind in (3, 4, 9):
        data = jpeg_with(segment(0xE1, exif((0x112, kind, 1, orientation))))
        assert np.array_equal(decode(data), upright)


def test_an_orientation_of_another_type_turns_nothing() -> None:
    upright = decode(saved(picture()))
    for kind, value in ((2, ord("6")), (7, 6), (5, 8), (1, 6), (99, 6), (12, 8)):
        assert np.array_equal(decode(jpeg_with(segment(0xE1, exif((0x112, kind, 1, value))))), upright)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "CMYK", "I;16", "F", "LAB", "1"])
def test_colours_do_not_depend_on_the_strips(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(90, 70)
    if mode in ("I;16", "F"):
        image = Image.fromarray(np.arange(6300).reshape(70, 90).astype("<u2" if mode == "I;16" else np.float32))
    elif mode == "LAB":
        image = ImageCms.profileToProfile(
            image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        ) or pytest.fail("no LAB")
    else:
        image = image.convert(mode)
    data = saved(image, "TIFF")
    whole = decode(data)
    monkeypatch.setattr(colour, "STRIP_PIXELS", 300)
    assert np.array_equal(decode(data), whole)


def test_memory_that_runs_out_is_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    for name in ("open", "Image.load"):
        with monkeypatch.context() as patched:
            owner = Image if name == "open" else Image.Image
            patched.setattr(owner, name.rsplit(".", 1)[-1], fail)
            with pytest.raises(MemoryError):
                decode(saved(picture(), "PNG"))


def test_large_photos_wait_for_each_other_and_all_come_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "LARGE_PIXELS", 100)
    good, bad = saved(picture(), "PNG"), saved(picture(), "PNG")[:-40]

    def reason(data: bytes) -> str:
        try:
            return f"{decode(data).shape}"
        except PhotoError as error:
            return error.reason

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(reason, [bad, good] * 20)) == [reason(bad), "(48, 64, 3)"] * 20


MEASURED = """
import resource, sys
from pathlib import Path
from pipeline.photos.decode import decode_photo
data = Path(sys.argv[1]).read_bytes()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
height, width, _ = decode_photo(
    data, rotation=None, boxes_frame="stored", max_pixels=180_000_000, min_px=32
).pixels.shape
print((peak() - before) / (width * height))
"""


def measured_bytes_a_pixel(path: Path) -> float:
    root = Path(photos.__file__).parent.parent.parent
    command = [sys.executable, "-c", MEASURED, str(path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


LARGEST: dict[str, tuple[str, str, dict[str, object]]] = {
    "JPEG": ("RGB", "JPEG", {}),
    "progressive JPEG, turned": (
        "RGB",
        "JPEG",
        {"progressive": True, "subsampling": 0, "exif": b"Exif\0\0" + tags((0x112, 3, 1, 6))},
    ),
    "CMYK JPEG": ("CMYK", "JPEG", {}),
    "progressive CMYK JPEG": ("CMYK", "JPEG", {"progressive": True}),
    "PNG with alpha": ("RGBA", "PNG", {"compress_level": 1}),
    "PNG of 16 bits": ("I;16", "PNG", {"compress_level": 1}),
    "PNG with a transparent palette": ("P", "PNG", {"compress_level": 1, "transparency": 3}),
    "TIFF of floats": ("F", "TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF of CMYK": ("CMYK", "TIFF", {"compression": "tiff_lzw"}),
    "GIF": ("P", "GIF", {}),
    "half a WebP": ("RGBA", "WEBP", {"lossless": True, "quality": 0, "method": 0}),
    "half a JPEG 2000": ("RGBA", "JPEG2000", {"quality_layers": [500]}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_photos_keep_to_the_stated_memory(name: str, tmp_path: Path) -> None:
    mode, kind, options = LARGEST[name]
    half = name.startswith("half")
    width, height = (9_000, 10_000) if half else (15_000, 12_000)
    image = Image.new("L", (width, height), 99) if mode in ("I;16", "F") else Image.new(mode, (width, height), 99)
    if mode in ("I;16", "F"):
        image = Image.fromarray(np.asarray(image).astype("<u2" if mode == "I;16" else np.float32))
    image.save(tmp_path / "photo", kind, **options)
    assert measured_bytes_a_pixel(tmp_path / "photo") <= photos.BYTES_A_PIXEL * (2 if half else 1)
