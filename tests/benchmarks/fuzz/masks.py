"""Masks: mutated mask pictures, PNG and a quarter as many of other formats -> a sample or a named refusal each.

Each is drawn as a pair with a photo, and read as a mask to edit by, under each --repaint in turn; both must agree.
Masks default to the real ones beside the checkout, and to made ones of every mode and kind.
"""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
from PIL import Image

from pbe.editing.inputs import read_mask
from pipeline.decoding.decode import BYTES_A_PIXEL, Photo
from pipeline.draws.draw import DrawRecipe
from pipeline.draws.mask_pictures import decode_mask
from pipeline.draws.raster import raster_mask
from pipeline.errors import InputError, PhotoError
from pipeline.pairing.draws import GivenPictures, draw_pair
from schemas.pairs import Repaint
from tests.benchmarks.fuzz.mutations import Mutation, delete_block, duplicate_block, flip_bits, mutate, splice, truncate
from tests.benchmarks.fuzz.running import Subject

REAL = Path(__file__).parent.parent.parent.parent.parent / "shared"
MAX_PIXELS = 180_000_000  # the default of --max-photo-megapixels
WIDTH, HEIGHT = 160, 120
MASK_BYTES_A_PIXEL = 12  # on black, brightness, and both again where it is judged
SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 4: 2, 6: 4}  # of a PNG, by its colour type
PHOTO = Photo(cv2.resize(np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8), (WIDTH, HEIGHT)), "none", 1)
RECIPE = DrawRecipe(seed=0, resolution=64, long_boxes="squash", min_box_px=8)
REPAINTS = get_args(Repaint)


def subjects(inputs: int, seed: int, folder: Path | None) -> list[Subject]:
    """Mutate masks of the folder."""
    masks = read_masks(folder)
    others = [data for data in masks if not data.startswith(SIGNATURE)]
    by_name = {"PNG": [data for data in masks if data.startswith(SIGNATURE)], "other formats": others}

    def subject(name: str, count: int) -> Subject:
        def write(number: int, place: Path) -> None:
            rng = np.random.default_rng([seed, number])
            data = mutate(rng, MUTATIONS, by_name[name])
            place.write_bytes(with_checksums(data) if rng.random() < 0.9 else data)  # of which decoders make sure

        bound = (BYTES_A_PIXEL + MASK_BYTES_A_PIXEL) * MAX_PIXELS
        return Subject(name, count, write, lambda place: try_mask(place), bound)

    return [subject("PNG", inputs), subject("other formats", inputs // 4)]


def try_mask(place: Path) -> str:
    """Take a mask to a sample, and to a hole to edit.

    Returns:
        `sample`, or the reason for none.

    Raises:
        AssertionError: what came out is no mask, or both commands judge otherwise.
    """
    data = place.read_bytes()
    repaint = REPAINTS[zlib.crc32(data) % len(REPAINTS)]
    try:
        mask = decode_mask(data, max_pixels=MAX_PIXELS, repaint=repaint)
    except PhotoError as error:
        _edit(place, repaint, refused=True)
        return error.reason
    assert mask.dtype == np.uint8 and 0 < mask.max() <= 1 and mask.any()
    try:
        drawn = draw_pair(PHOTO, GivenPictures(mask, None), recipe=RECIPE, image_id="fuzz", box_id=0, draw=0)
    except PhotoError as error:
        _edit(place, repaint, refused=error.reason == "mask_size")
        return error.reason
    polygon = drawn.draw.mask_polygon
    assert np.isfinite(polygon).all() and polygon.min() >= 0 and polygon.max() <= 1
    assert np.array_equal(drawn.mask, raster_mask(polygon, RECIPE.resolution)) and drawn.mask.any()
    hole = _edit(place, repaint, refused=False)
    assert mask.shape != hole.shape or np.array_equal(mask.astype(bool), hole)
    return "sample"


def _edit(place: Path, repaint: Any, *, refused: bool) -> Any:
    """Read the mask as one to edit by."""
    try:
        hole = read_mask(place, PHOTO.pixels, repaint=repaint)
    except InputError as error:
        assert refused or "nothing of it is left" in str(error), f"edit alone refuses it: {error}"
        return None
    assert not refused, "pairs alone refuse it"
    assert hole.dtype == bool and hole.shape == (HEIGHT, WIDTH) and hole.any()
    return hole


def flip_bits_of_the_header(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    for at in rng.integers(4, min(120, max(5, len(data))), rng.integers(1, 4)):
        data[at : at + 1] = bytes(byte ^ (1 << rng.integers(8)) for byte in data[at : at + 1])


def edit_pixels(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    """Change bytes of a PNG's pixels, filters among them, as they are before they are packed."""
    for name, start, end in list(_chunks(data)):
        if name == b"IDAT" and rng.random() < 0.8:
            unpacking = zlib.decompressobj()
            try:
                pixels = bytearray(unpacking.decompress(bytes(data[start:end]), 1 << 22))
            except zlib.error:
                return
            for _ in range(rng.integers(1, 40)):
                at, size = rng.integers(max(1, len(pixels))), rng.integers(1, 300)
                pixels[at : at + size] = bytes([rng.integers(256)]) * len(pixels[at : at + size])
            step = 1 + -(-int.from_bytes(data[16:20]) * data[24] * CHANNELS.get(data[25], 1) // 8)
            pixels[::step] = bytes(value % 5 for value in pixels[::step])  # rows begin with their filter
            packed = zlib.compress(bytes(pixels), 1)
            data[start - 8 : end] = len(packed).to_bytes(4) + b"IDAT" + packed
            return


def edit_chunk(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    """Change a PNG's header, palette, transparency or another chunk."""
    chunks = [(start, end) for name, start, end in _chunks(data) if end > start and name != b"IDAT"]
    if chunks:
        start, end = chunks[rng.integers(len(chunks))]
        at = rng.integers(start, end)
        data[at : at + 1] = rng.bytes(1)


def add_chunk(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    """Put a chunk behind a PNG's header that changes what its numbers mean."""
    names = (b"tRNS", b"PLTE", b"gAMA", b"sBIT", b"iCCP", b"eXIf", b"acTL", b"bKGD")
    content = rng.bytes(int(rng.choice([1, 2, 3, 6, 48, 768])))
    if data.startswith(SIGNATURE):
        data[33:33] = len(content).to_bytes(4) + names[rng.integers(len(names))] + content + bytes(4)


MUTATIONS: list[Mutation] = [
    flip_bits,
    flip_bits_of_the_header,
    splice,
    truncate,
    duplicate_block,
    delete_block,
    *[edit_pixels] * 6,  # others leave few PNGs that can be decoded at all
    *[edit_chunk] * 2,
    add_chunk,
]


def with_checksums(data: bytes) -> bytes:
    """Make the checksums of a PNG's chunks right."""
    mended = bytearray(data)
    for _, start, end in _chunks(mended):
        mended[end : end + 4] = zlib.crc32(bytes(mended[start - 4 : end])).to_bytes(4)[: len(mended[end : end + 4])]
    return bytes(mended)


def _chunks(data: bytes | bytearray) -> Iterator[tuple[bytes, int, int]]:
    """List a PNG's chunks: name, and where the content begins and ends."""
    at = len(SIGNATURE)
    while bytes(data[: len(SIGNATURE)]) == SIGNATURE and at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if at + 12 + size > len(data):
            return
        yield bytes(data[at + 4 : at + 8]), at + 8, at + 8 + size
        at += 12 + size


def read_masks(folder: Path | None) -> list[bytes]:
    """Read the masks to mutate; the default ones with the photo's size."""
    if folder:
        return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    places = ("cases/masks", "data/openimages_masks_15/masks", "data/pbe_examples/examples/mask")
    paths = [path for place in places for path in sorted((REAL / place).rglob("*.png"))]
    images = [Image.open(path).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST) for path in paths]
    return [encode(image, "PNG") for image in images] + made_masks()


def made_masks() -> list[bytes]:
    """Make masks of every mode and kind."""
    hard = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(hard, (70, 60), 35, 255, -1)
    cv2.circle(hard, (70, 60), 12, 0, -1)
    soft, one = cv2.GaussianBlur(hard, (0, 0), 2), hard // 255
    colour = np.dstack([hard, hard, hard])
    arrays = (hard, soft, one, one * np.uint8(2), hard.astype(np.uint16) * 257, one * np.uint16(4095), colour)
    layers = (np.dstack([np.full_like(colour, 255), soft]), np.dstack([colour * 0 + 9, 255 - hard]))
    images = [Image.fromarray(array) for array in (*arrays, *layers, np.dstack([hard, hard // 2 + 127]))]
    images += [Image.fromarray(hard).convert(mode) for mode in ("1", "P", "LA")]
    labels = Image.fromarray(one * np.uint8(15))
    labels.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    shares = [Image.fromarray(array) for array in (one.astype(np.float32), soft.astype(np.float32) / 255)]
    grey, rgba = Image.fromarray(soft), images[7]
    others = [encode(image, "TIFF") for image in (*shares, grey, images[4], rgba, grey.convert("CMYK"))]
    others += [encode(grey, kind) for kind in ("JPEG", "GIF", "BMP", "JPEG2000")]
    return [encode(image, "PNG") for image in (*images, labels)] + others + [encode(rgba, "WEBP", lossless=True)]


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()
