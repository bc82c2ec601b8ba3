"""What the pictures of an edit keep of their source's file, by command: a table of sources of every kind, and flags."""

import csv
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pbe.edit import edit, load_editor, main
from pbe.editing.inputs import read_mask
from pbe.editing.outputs import Outputs
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from tests.pbe.editing.commands import cases_flags, edit_flags
from tests.pbe.editing.tiny_model import write_pictures
from tests.pipeline.decoding.spaces import as_shown, grey, wide

HEIGHT, WIDTH = 40, 56
HOLE = np.zeros((HEIGHT, WIDTH), bool)
HOLE[10:24, 16:36] = True
PIXELS = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8), (WIDTH, HEIGHT))
CLEAR = np.dstack([PIXELS, np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))])
EXIF, GPS, WIDTH_TAG, NOTE = 0x8769, 0x8825, 0xA002, 0x927C


def tags(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif.update({0x112: orientation, 0x10F: "maker", 0x13B: "artist"})
    exif.get_ifd(EXIF).update({WIDTH_TAG: 9, 36867: "2020:01:02 03:04:05", NOTE: b"a note of the maker"})
    exif.get_ifd(GPS).update({1: "N"})
    return exif


def gamma_png() -> bytes:
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, "PNG")
    chunk = b"gAMA" + struct.pack(">I", 100_000)
    return (
        content.getvalue()[:33]
        + struct.pack(">I", 4)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + content.getvalue()[33:]
    )


def write_sources(folder: Path) -> dict[str, Path]:
    """Write sources, each with something that edits should keep or tell of."""
    image, turned = Image.fromarray(PIXELS), Image.fromarray(np.rot90(PIXELS).copy())
    clear, options = Image.fromarray(CLEAR), {"icc_profile": wide()}
    named: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "wide.png": (image, options),
        "wide.jpg": (image, options),
        "turned.jpg": (turned, {**options, "exif": tags(6)}),
        "clear.png": (clear, options),
        "clear.webp": (clear, {**options, "lossless": True, "exact": True}),
        "palette.png": (image.quantize(50), options),
        "plain.png": (image, {}),
        "inks.tif": (image.convert("CMYK"), {}),
        "grey.png": (image.convert("L"), {"icc_profile": grey()}),
        "broken.png": (image, {"icc_profile": b"nonsense" * 20}),
        "deep.png": (Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), {}),
    }
    for name, (picture, more) in named.items():
        picture.save(folder / name, **more)
    (folder / "gamma.png").write_bytes(gamma_png())
    return {name: folder / name for name in (*named, "gamma.png")}


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """The sources and their edits, with --paste-back, as PNG."""
    place = tmp_path_factory.mktemp("carried")
    write_pictures(place)
    sources = write_sources(place)
    with (place / "cases.csv").open("w") as file:
        rows = [
            {"source": n, "exemplar": "exemplar.png", "mask": "mask.png", "name": n.replace(".", "_")} for n in sources
        ]
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    assert main(cases_flags(folder, place / "cases.csv", place / "out", "--paste-back")) == 0
    return {name: (path, place / f"out/{name.replace('.', '_')}.png") for name, path in sources.items()}


def opened(path: Path) -> Image.Image:
    """Open a picture upright."""
    image = Image.open(path)
    image.load()
    return Image.fromarray(np.rot90(np.asarray(image), -1)) if image.getexif().get(0x112) == 6 else image


KEPT = ["wide.png", "wide.jpg", "turned.jpg", "clear.png", "clear.webp", "palette.png", "plain.png", "gamma.png"]


@pytest.mark.parametrize("name", KEPT)
def test_every_pixel_outside_the_mask_is_as_it_was_in_its_own_colours(name: str, made: dict[str, Any]) -> None:
    source, result = made[name]
    before, after = opened(source), Image.open(result)
    alike = np.asarray(before.convert(after.mode)), np.asarray(after)
    assert after.mode == ("RGBA" if "clear" in name else "RGB")
    assert np.array_equal(alike[0][~HOLE], alike[1][~HOLE])
    assert (alike[0][HOLE] != alike[1][HOLE]).any(axis=-1).mean() > 0.9
    assert after.info.get("icc_profile") == Image.open(source).info.get("icc_profile")
    assert after.info.get("gamma") == Image.open(source).info.get("gamma")


@pytest.mark.parametrize("name", [*KEPT, "grey.png", "broken.png", "deep.png", "inks.tif"])
def test_what_was_not_painted_looks_as_it_did(name: str, made: dict[str, Any]) -> None:
    source, result = made[name]
    before, after = opened(source), Image.open(result)
    profile = Image.open(source).info.get("icc_profile") if name != "broken.png" else None
    shown = Image.fromarray(np.uint8(np.asarray(before) // 257)) if name == "deep.png" else before
    wanted, found = as_shown(shown, profile).astype(int), as_shown(after, after.info.get("icc_profile"))
    assert np.abs(wanted - found)[~HOLE].max() == 0


def test_what_is_painted_looks_the_same_whatever_the_sources_colour_space(made: dict[str, Any], folder: Path) -> None:
    (source, result), exemplar = made["wide.png"], made["wide.png"][0].parent / "exemplar.png"
    shown = as_shown(Image.open(source), wide())
    [plain] = edit(load_editor(str(folder)), shown, HOLE, exemplar, steps=2, scheduler="ddim", blend="paste")
    painted = as_shown(Image.open(result), wide())
    assert np.abs(painted.astype(int) - plain)[HOLE].mean() < 2  # 256 levels of a wide space are coarse
    assert np.abs(np.asarray(Image.open(result)).astype(int) - plain)[HOLE].mean() > 10


def test_exif_goes_along_without_what_is_no_longer_true(made: dict[str, Any]) -> None:
    exif = Image.open(made["turned.jpg"][1]).getexif()
    assert exif[0x10F] == "maker" and exif[0x13B] == "artist" and exif.get_ifd(GPS)[1] == "N"
    inner = exif.get_ifd(EXIF)
    assert inner[WIDTH_TAG] == WIDTH and inner[36867].startswith("2020") and NOTE not in inner and 0x112 not in exif


def test_a_hole_becomes_opaque_and_nothing_else(made: dict[str, Any]) -> None:
    alpha = np.asarray(Image.open(made["clear.png"][1]))[..., 3]
    assert np.array_equal(alpha[~HOLE], CLEAR[..., 3][~HOLE])
    assert (alpha[HOLE] >= CLEAR[..., 3][HOLE]).all() and alpha[14:20, 20:32].min() == 255


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "suffix", "words"),
    [
        ("deep.png", ".png", "16 bits a channel (now 8)"),
        ("inks.tif", ".png", "CMYK (now sRGB)"),
        ("grey.png", ".png", "the colour profile, a grey one (now sRGB)"),
        ("broken.png", ".png", "the colour profile (it is damaged, or not for such pixels)"),
        ("clear.png", ".jpg", "transparency (it lies on white now)"),
        ("gamma.png", ".webp", "the PNG's gamma"),
        ("wide.png", ".jpg", ""),
        ("turned.jpg", ".webp", ""),
    ],
)
def test_the_last_line_says_what_is_lost_and_other_formats_keep_the_profile_too(
    name: str, suffix: str, words: str, made: dict[str, Any], folder: Path, tmp_path: Path, capsys: Any
) -> None:
    source, out = made[name][0], tmp_path / f"out{suffix}"
    given = {"source": source, "exemplar": source.parent / "exemplar.png"}
    assert main(edit_flags(folder, given, out, "--box", "16,10,36,24")) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"not kept of the source: {words}" if words else "not kept" not in last
    kept = words == "" or suffix != ".png"
    if kept:
        assert Image.open(out).info.get("icc_profile") == Image.open(source).info.get("icc_profile")


@pytest.mark.parametrize(("repaint", "mask"), [("black", 255 - HOLE * np.uint8(255)), ("nonzero", HOLE * np.uint8(2))])
def test_repaint_says_what_of_a_mask_is_repainted(
    repaint: str, mask: Any, made: dict[str, Any], folder: Path, tmp_path: Path, capsys: Any
) -> None:
    source = made["plain.png"][0]
    Image.fromarray(mask).save(tmp_path / "other.png")
    given = {"source": source, "mask": tmp_path / "other.png", "exemplar": source.parent / "exemplar.png"}
    assert main(edit_flags(folder, given, tmp_path / "out.png", "--paste-back", "--repaint", repaint)) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), np.asarray(Image.open(made["plain.png"][1])))
    assert main(edit_flags(folder, given, tmp_path / "none.png")) == (2 if repaint == "nonzero" else 0)
    assert repaint != "nonzero" or "--repaint nonzero" in capsys.readouterr().err


def test_a_source_too_large_for_its_format_is_refused_by_name() -> None:
    outputs, mask = Outputs(Folder("/out"), "a", ".webp"), np.zeros((8, 16_384), bool)
    with pytest.raises(InputError, match=r"--out a.webp: WEBP holds sides up to 16383 px, the source has 16384 x 8"):
        outputs.refuse_large(mask)
    Outputs(Folder("/out"), "a", ".png").refuse_large(mask)


@pytest.mark.parametrize("kind", [bool, np.int64, np.uint8, np.float32, np.float16])
def test_arrays_of_any_kind_of_number_are_the_same_mask(kind: Any) -> None:
    for scale in (1, 255) if kind in (np.int64, np.uint8) else (1,):
        assert np.array_equal(read_mask(HOLE.astype(kind) * kind(scale), PIXELS), HOLE)
