"""Photos: mutated JPEGs, and a quarter as many photos of other formats -> a sample or a reason each.

Each goes through decoding, perceptual hash and one draw. Photos default to those that ship in scikit-image and
scikit-learn, and the real ones beside the checkout.
"""

import io
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from pipeline.decoding.decode import BYTES_A_PIXEL, decode_photo
from pipeline.draws.draw import DrawRecipe, draw_sample
from pipeline.errors import PhotoError
from pipeline.photos.fingerprints import perceptual_hash
from pipeline.photos.sample_photos import write_openimages_folder
from pipeline.storage.folder import Folder
from tests.benchmarks.fuzz.mutations import Mutation, delete_block, duplicate_block, flip_bits, mutate, splice
from tests.benchmarks.fuzz.running import Subject

REAL = Path(__file__).parent.parent.parent.parent.parent / "shared/data"
MAX_PIXELS = 180_000_000  # the default of --max-photo-megapixels
DRAWING_BYTES_A_PIXEL = 6  # an upright photo, and a crop of all of it
SMALL_PX = 200
FULL_SIZE_SHARE = 0.05
RECIPE = DrawRecipe(seed=0, resolution=256, long_boxes="squash", min_box_px=8)
OTHER_FORMATS = ("PNG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000")


def subjects(inputs: int, seed: int, folder: Path | None) -> list[Subject]:
    """Mutate photos of the folder, one in twenty of full size."""
    photos = read_photos(folder)
    jpegs = [data for data in photos if data.startswith(b"\xff\xd8")]
    others = [data for data in photos if not data.startswith(b"\xff\xd8")]
    bound = (BYTES_A_PIXEL + DRAWING_BYTES_A_PIXEL) * MAX_PIXELS

    def subject(name: str, count: int, small: list[bytes], full: list[bytes]) -> Subject:
        def write(number: int, place: Path) -> None:
            bases = full if number % round(1 / FULL_SIZE_SHARE) == 0 and full else small
            place.write_bytes(mutated(seed, number, bases))

        return Subject(name, count, write, lambda place: try_photo(place.read_bytes()), bound)

    return [
        subject("JPEG", inputs, small_jpegs(photos), jpegs),
        subject("other formats", inputs // 4, small_others(photos), others),
    ]


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
    return mutate(np.random.default_rng([seed, number]), MUTATIONS, bases)


def flip_bits_of_the_header(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    for at in rng.integers(0, min(700, max(1, len(data))), rng.integers(1, 10)):
        data[at : at + 1] = rng.bytes(len(data[at : at + 1]))


def truncate(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    del data[rng.integers(len(data) + 1) :]
    if rng.random() < 0.5:
        data += b"\xff\xd9"


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
