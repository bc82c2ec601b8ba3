"""Photos and ids made to do harm: each gives a sample or a reason, in little time and bounded memory."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.decoding import colour
from pipeline.decoding import decode as photos
from pipeline.decoding.decode import decode_photo
from pipeline.draws.draw import DrawRecipe, draw_sample
from pipeline.errors import PhotoError
from pipeline.photos.fingerprints import perceptual_hash
from tests.benchmarks.fuzz import photos as fuzz
from tests.pipeline.decoding.hostile import HOSTILE, exif, jpeg_with, picture, png_of, saved, segment, tags

SLOWEST_SECONDS = 10.0  # alone, each takes below 3


@pytest.mark.heavy
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore")
def test_a_hostile_photo_has_its_reason_in_seconds(name: str) -> None:
    build, allowed = HOSTILE[name]
    data = build()
    began = time.process_time()
    outcome = fuzz.try_photo(data)
    assert outcome in allowed
    assert time.process_time() - began < SLOWEST_SECONDS


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.filterwarnings("ignore")
def test_mutated_photos_give_a_sample_or_a_reason(sample_folder: Path, kind: str) -> None:
    bases = [path.read_bytes() for path in sorted((sample_folder / "train").iterdir())]
    small = fuzz.small_jpegs(bases) if kind == "JPEG" else fuzz.small_others(bases)
    outcomes = [fuzz.try_photo(fuzz.mutated(1, number, small)) for number in range(300)]
    assert 0.2 < outcomes.count("sample") / len(outcomes) < 0.9
    assert len(set(outcomes)) > 3


RECIPE = DrawRecipe(seed=0, resolution=64, long_boxes="squash", min_box_px=1)


@pytest.mark.heavy
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
from pipeline.decoding.decode import decode_photo
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
        grey = np.asarray(image)
        image = Image.fromarray(grey.astype("<u2") * 257 if mode == "I;16" else grey.astype(np.float32))
    image.save(tmp_path / "photo", kind, **options)
    assert measured_bytes_a_pixel(tmp_path / "photo") <= photos.BYTES_A_PIXEL * (2 if half else 1)
