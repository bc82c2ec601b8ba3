"""Fuzz: mutated photos -> a sample or a reason each, within seconds and a stated memory.

    python tests/benchmarks/fuzz.py [--inputs 10000] [--seed 0] [--photos FOLDER]

Mutates JPEGs, and a quarter as many photos of other formats; each goes through decoding, perceptual hash and one draw.
Photos default to those that ship in scikit-image and scikit-learn, and the real ones beside the checkout. Exits 1 where
anything but a reason comes out, an input takes more than 10 s, or memory passes the bound; the input is kept in a file.
"""

import argparse
import faulthandler
import io
import resource
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageCms

from pipeline.draws.draw import DrawRecipe, draw_sample
from pipeline.errors import PhotoError
from pipeline.photos.decode import BYTES_A_PIXEL, decode_photo
from pipeline.photos.fingerprints import perceptual_hash
from pipeline.photos.sample_photos import write_openimages_folder
from pipeline.storage.folder import Folder

REAL = Path(__file__).parent.parent.parent.parent / "shared/data"
MAX_PIXELS = 180_000_000  # the default of --max-photo-megapixels
DRAWING_BYTES_A_PIXEL = 6  # an upright photo, and a crop of all of it
SLOWEST_SECONDS = 10.0
HUNG_SECONDS = 120
SMALL_PX = 200
FULL_SIZE_SHARE = 0.05
RECIPE = DrawRecipe(seed=0, resolution=256, long_boxes="squash", min_box_px=8)
OTHER_FORMATS = ("PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000")

Mutation = Callable[[np.random.Generator, bytearray, bytes], None]


def try_photo(data: bytes) -> str:
    """Take a photo all the way to a sample.

    Returns:
        `sample`, or the reason for none.
    """
    try:
        photo = decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=MAX_PIXELS, min_px=32)
        perceptual_hash(photo.pixels)
        draw_sample(photo, (0.2, 0.3, 0.7, 0.8), recipe=RECIPE, image_id="fuzz", box_id=0, draw=0)
    except PhotoError as error:
        return error.reason
    return "sample"


def mutated(seed: int, number: int, bases: list[bytes]) -> bytes:
    """Mutate one of the bases, one to three times; the same for the same seed and number."""
    rng = np.random.default_rng([seed, number])
    data = bytearray(bases[rng.integers(len(bases))])
    for _ in range(rng.integers(1, 4)):
        MUTATIONS[rng.integers(len(MUTATIONS))](rng, data, bases[rng.integers(len(bases))])
    return bytes(data)


def flip_bits(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    for at in rng.integers(0, max(1, len(data)), rng.integers(1, 30)):
        data[at : at + 1] = bytes(byte ^ (1 << rng.integers(8)) for byte in data[at : at + 1])


def flip_bits_of_the_header(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    for at in rng.integers(0, min(700, max(1, len(data))), rng.integers(1, 10)):
        data[at : at + 1] = rng.bytes(len(data[at : at + 1]))


def splice(rng: np.random.Generator, data: bytearray, other: bytes) -> None:
    start, size = rng.integers(len(other)), rng.integers(1, 4096)
    at = rng.integers(len(data) + 1)
    data[at : at + rng.integers(0, 2) * size] = other[start : start + size]


def truncate(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    del data[rng.integers(len(data) + 1) :]
    if rng.random() < 0.5:
        data += b"\xff\xd9"


def duplicate_block(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    at, size = rng.integers(len(data) + 1), rng.integers(1, 4096)
    data[at:at] = data[at : at + size] * int(rng.integers(1, 20))


def delete_block(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    at = rng.integers(len(data) + 1)
    del data[at : at + rng.integers(1, 4096)]


def inject_marker(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    at = rng.integers(len(data) + 1)
    size = int(rng.integers(0, 300))
    content = rng.bytes(size) if rng.random() < 0.5 else b""
    data[at:at] = b"\xff" + rng.bytes(1) + struct.pack(">H", size) + content


def edit_frame(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    """Change a JPEG's height, width, precision, number of components, or its kind of coding."""
    for at in _places(data, (b"\xff\xc0", b"\xff\xc2")):
        if rng.random() < 0.3:
            data[at + 1] = 0xC0 + rng.integers(16)
        field = rng.integers(4, 19)
        data[at + field : at + field + 2] = rng.bytes(len(data[at + field : at + field + 2]))


def edit_tables(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    """Change bytes of Huffman and quantisation tables, restart intervals and scan headers."""
    for at in _places(data, (b"\xff\xc4", b"\xff\xdb", b"\xff\xdd", b"\xff\xda")):
        if rng.random() < 0.4:
            field = at + rng.integers(2, 40)
            data[field : field + 1] = rng.bytes(len(data[field : field + 1]))


def corrupt_metadata(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    """Change bytes of EXIF, colour profile and other application segments."""
    for at in _places(data, (b"\xff\xe1", b"\xff\xe2", b"\xff\xee", b"Exif", b"ICC_PROFILE", b"iCCP", b"eXIf")):
        for _ in range(rng.integers(0, 12)):
            field = at + rng.integers(2, 200)
            data[field : field + 1] = rng.bytes(len(data[field : field + 1]))


def insert_metadata(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    """Put made-up EXIF or profile segments at a JPEG's beginning."""
    kind = (b"\xff\xe1", b"Exif\0\0") if rng.random() < 0.6 else (b"\xff\xe2", b"ICC_PROFILE\0\x01\x01")
    tags = b"".join(
        struct.pack("<HHLL", rng.choice([0x112, 0x11A, 0x128, 0x8769]), *rng.integers(0, 300, 3)) for _ in range(20)
    )
    exif = struct.pack("<2sHLH", b"II", 42, rng.choice([8, 8, 8, 0, 9]), rng.integers(0, 40)) + tags
    content = kind[1] + (exif if rng.random() < 0.7 else rng.bytes(500))
    data[2:2] = kind[0] + struct.pack(">H", len(content) + 2) + content


def concatenate(_: np.random.Generator, data: bytearray, other: bytes) -> None:
    data += other


MUTATIONS: list[Mutation] = [
    flip_bits,
    flip_bits_of_the_header,
    splice,
    truncate,
    duplicate_block,
    delete_block,
    inject_marker,
    edit_frame,
    edit_tables,
    corrupt_metadata,
    insert_metadata,
    concatenate,
]


def _places(data: bytearray, words: tuple[bytes, ...]) -> Iterator[int]:
    for word in words:
        at = data.find(word)
        while 0 <= at < len(data) - 20:
            yield at
            at = data.find(word, at + 1)


def read_photos(folder: Path | None) -> list[bytes]:
    """Read the photos to mutate."""
    if folder:
        return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    with tempfile.TemporaryDirectory() as scratch:
        sample = Path(write_openimages_folder(Folder(scratch)).url) / "train"
        paths = sorted(sample.iterdir())
        paths += sorted((REAL / "openimages_v6_train100/train").glob("*.jpg"))[:20]
        odd = [path for path in sorted((REAL / "odd_images").rglob("*.*")) if path.suffix != ".csv"]
        return [path.read_bytes() for path in paths + odd]


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def small_jpegs(photos: list[bytes]) -> list[bytes]:
    """Encode photos small, in the ways that JPEGs differ."""
    exif = Image.Exif()
    exif.update({0x112: 6, 0x10F: "maker", 0x11A: 72.0, 0x128: 2})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    ways: list[tuple[str, dict[str, object]]] = [
        ("RGB", {}),
        ("RGB", {"progressive": True, "exif": exif}),
        ("RGB", {"subsampling": 0, "icc_profile": profile, "restart_marker_rows": 1}),
        ("L", {"exif": exif}),
        ("CMYK", {"progressive": True}),
        ("CMYK", {"icc_profile": profile}),
    ]
    return [
        encode(image.convert(mode), "JPEG", **options)
        for image, (mode, options) in zip(_small(photos), ways * len(photos), strict=False)
    ]


def small_others(photos: list[bytes]) -> list[bytes]:
    """Encode photos small, in the other formats and modes."""
    modes = ("RGB", "RGBA", "P", "L", "1", "LA", "I;16")
    encoded = []
    for number, image in enumerate(_small(photos)):
        for kind in OTHER_FORMATS:
            mode = modes[number % len(modes)]
            try:
                encoded.append(encode(image.convert("I").convert(mode) if ";" in mode else image.convert(mode), kind))
            except (OSError, ValueError):  # not every format has every mode
                encoded.append(encode(image.convert("RGB"), kind))
    return encoded


def _small(photos: list[bytes]) -> list[Image.Image]:
    images = []
    for data in photos:
        try:
            photo = decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=10**7, min_px=64)
        except PhotoError:  # some of the odd images are hostile as they are
            continue
        image = Image.fromarray(photo.pixels)
        image.thumbnail((SMALL_PX, SMALL_PX))
        images.append(image)
    return images


class Fuzz:
    """The run: what came out, how long it took, how much it needed."""

    def __init__(self, seed: int, kept: Path) -> None:
        self.seed, self.kept = seed, kept
        self.outcomes: dict[str, Counter[str]] = {"JPEG": Counter(), "other": Counter()}
        self.slowest = 0.0
        self.faults: list[str] = []

    def try_all(self, kind: str, count: int, small: list[bytes], full: list[bytes]) -> None:
        """Mutate and try `count` photos, one in twenty of full size."""
        for number in range(count):
            bases = full if number % round(1 / FULL_SIZE_SHARE) == 0 and full else small
            self._try(kind, number, mutated(self.seed, number, bases))

    def _try(self, kind: str, number: int, data: bytes) -> None:
        self.kept.write_bytes(data)  # before, so that it is there after a crash or hang
        faulthandler.dump_traceback_later(HUNG_SECONDS, exit=True)
        began = time.perf_counter()
        try:
            self.outcomes[kind][try_photo(data)] += 1
        except Exception as error:  # what this script looks for
            self._keep(kind, number, data, f"{type(error).__name__}: {error}")
        seconds = time.perf_counter() - began
        faulthandler.cancel_dump_traceback_later()
        self.slowest = max(self.slowest, seconds)
        if seconds > SLOWEST_SECONDS:
            self._keep(kind, number, data, f"{seconds:.1f} s, more than {SLOWEST_SECONDS:.0f}")

    def _keep(self, kind: str, number: int, data: bytes, what: str) -> None:
        path = self.kept.with_name(f"pbe-fuzz-{kind}-{self.seed}-{number}.bin")
        path.write_bytes(data)
        self.faults.append(f"{path}: {what}")


def peak_bytes() -> int:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def print_table(outcomes: dict[str, Counter[str]]) -> None:
    totals = {kind: max(1, sum(counts.values())) for kind, counts in outcomes.items()}
    print("| outcome | JPEG | share | other formats | share |\n|---|---|---|---|---|")
    for reason in sorted(set().union(*outcomes.values()), key=lambda name: -outcomes["JPEG"][name]):
        cells = [f"{counts[reason]:,} | {counts[reason] / totals[kind]:.1%}" for kind, counts in outcomes.items()]
        print(f"| {reason} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photos", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    photos = read_photos(arguments.photos)
    jpegs = [data for data in photos if data.startswith(b"\xff\xd8")]
    others = [data for data in photos if not data.startswith(b"\xff\xd8")]
    fuzz = Fuzz(arguments.seed, Path(tempfile.gettempdir()) / "pbe-fuzz-now.bin")
    print(f"{len(photos)} photos; the input being tried is in {fuzz.kept}", file=sys.stderr)
    small_jpeg, small_other = small_jpegs(photos), small_others(photos)
    at_first, began = peak_bytes(), time.perf_counter()
    fuzz.try_all("JPEG", arguments.inputs, small_jpeg, jpegs)
    fuzz.try_all("other", arguments.inputs // 4, small_other, others)
    bound = at_first + (BYTES_A_PIXEL + DRAWING_BYTES_A_PIXEL) * MAX_PIXELS
    print_table(fuzz.outcomes)
    print(f"\n{time.perf_counter() - began:.0f} s in all, the slowest input {fuzz.slowest:.2f} s (limit 10 s)")
    print(f"peak memory {peak_bytes() / 2**30:.2f} GiB ({at_first / 2**30:.2f} before), bound {bound / 2**30:.2f} GiB")
    if peak_bytes() > bound:
        fuzz.faults.append(f"memory: {peak_bytes()} bytes, the bound is {bound}")
    if fuzz.faults:
        sys.exit("\n".join(fuzz.faults))


if __name__ == "__main__":
    main()
