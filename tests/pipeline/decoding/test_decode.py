import csv
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.decoding.decode import Photo, decode_photo
from pipeline.errors import InputError, PhotoError
from pipeline.photos.fingerprints import perceptual_hash
from pipeline.photos.id_forms import IdForms
from pipeline.photos.store import PhotoStore

RED = np.array([230, 20, 20])
JPEG = Callable[..., bytes]

# Where EXIF orientation N brings the stored photo's top left corner: the orientation's definition (EXIF 2.32, 4.6.4).
TOP_LEFT_GOES = {
    1: "top left",
    2: "top right",
    3: "bottom right",
    4: "bottom left",
    5: "top left",
    6: "top right",
    7: "bottom right",
    8: "bottom left",
}
MARKER = (0.0, 0.0, 0.25, 0.125)  # of the stored photo, 160 x 96: 40 x 12 px, so that a turn is told from a mirror


def decode(
    data: bytes, *, rotation: float | None = None, boxes_frame: str = "stored", max_pixels: int = 10**8
) -> Photo:
    return decode_photo(data, rotation=rotation, boxes_frame=boxes_frame, max_pixels=max_pixels, min_px=4)


def marked() -> np.ndarray:
    pixels = np.full((96, 160, 3), 128, np.uint8)
    pixels[:12, :40] = RED
    return pixels


def marker_of(pixels: np.ndarray) -> tuple[float, float, float, float]:
    """Find the red marker, in shares of the photo."""
    rows, columns = np.nonzero(pixels[..., 0].astype(int) - pixels[..., 1] > 100)
    height, width = pixels.shape[:2]
    return columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height


def corner_of(box: tuple[float, float, float, float]) -> str:
    return f"{'top' if box[1] < 0.5 else 'bottom'} {'left' if box[0] < 0.5 else 'right'}"


@pytest.mark.parametrize("exif", range(1, 9))
def test_exif_turns_photo_and_box_alike(jpeg: JPEG, exif: int) -> None:
    photo = decode(jpeg(marked(), exif=exif))
    assert photo.pixels.shape[:2] == ((160, 96) if exif >= 5 else (96, 160))
    assert corner_of(marker_of(photo.pixels)) == TOP_LEFT_GOES[exif]
    assert photo.turn_box(MARKER) == pytest.approx(marker_of(photo.pixels), abs=0.03)
    assert photo.orientation == ("none" if exif == 1 else f"exif:{exif}")


@pytest.mark.parametrize("exif", range(1, 9))
def test_under_the_exif_frame_boxes_stay_where_the_table_has_them(jpeg: JPEG, exif: int) -> None:
    stored = decode(jpeg(marked(), exif=exif))
    upright = decode(jpeg(marked(), exif=exif), boxes_frame="exif")
    assert np.array_equal(stored.pixels, upright.pixels)
    assert upright.turn_box(MARKER) == MARKER


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, "top left"), (90, "bottom left"), (180, "bottom right"), (270, "top right")]
)
@pytest.mark.parametrize("boxes_frame", ["stored", "exif"])
def test_rotation_turns_counter_clockwise_and_exif_is_ignored(
    jpeg: JPEG, rotation: float, corner: str, boxes_frame: str
) -> None:
    photo = decode(jpeg(marked(), exif=6), rotation=rotation, boxes_frame=boxes_frame)
    assert corner_of(marker_of(photo.pixels)) == corner
    assert photo.turn_box(MARKER) == pytest.approx(marker_of(photo.pixels), abs=0.03)
    assert photo.orientation == f"rotation:{rotation}"


def test_a_rotation_of_no_quarter_turn_is_a_drop(jpeg: JPEG) -> None:
    with pytest.raises(PhotoError, match="bad_rotation"):
        decode(jpeg(marked()), rotation=45)


def test_real_photos_of_every_orientation_show_the_same_picture(real_data: Path) -> None:
    seen = [decode((real_data / f"odd_images/sharp/Landscape_{n}.jpg").read_bytes()).pixels for n in range(1, 9)]
    small = [np.asarray(Image.fromarray(pixels).resize((60, 45)), float).ravel() for pixels in seen]
    assert np.corrcoef(small).min() > 0.95


def test_every_odd_image_decodes_or_is_dropped_with_a_reason(real_data: Path) -> None:
    index = list(csv.DictReader((real_data / "odd_images/INDEX.csv").open()))
    assert len(index) > 40
    for row in index:
        data = (real_data / "odd_images" / row["file"]).read_bytes()
        bad = row["open"] != "ok" or row["decode"] != "ok"
        try:
            pixels = decode_photo(data, rotation=None, boxes_frame="stored", max_pixels=10**8, min_px=1).pixels
        except PhotoError as error:
            assert bad or error.reason in ("animated", "corrupt", "too_dark"), (row["file"], error)
            continue
        assert not bad, row["file"]
        assert pixels.dtype == np.uint8
        assert sorted(pixels.shape[:2]) == sorted((int(row["width"]), int(row["height"])))
        assert pixels.shape[2] == 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pillow/broken.png", "not_an_image"),
        ("pillow/decompression_bomb.gif", "bomb"),
        ("sharp/giant-image.jpg", "bomb"),
        ("sharp/65536-uint32-limit.png", "bomb"),
        ("sharp/truncated.jpg", "truncated"),
        ("sharp/truncated.png", "truncated"),
        ("sharp/corrupt-header.jpg", "corrupt"),
        ("sharp/2x2_fdcce6.png", "too_small"),
    ],
)
def test_bad_photos_have_their_reason(real_data: Path, name: str, reason: str) -> None:
    with pytest.raises(PhotoError) as refusal:
        decode((real_data / "odd_images" / name).read_bytes())
    assert refusal.value.reason == reason


def test_a_photo_cut_anywhere_is_dropped_not_half_grey(jpeg: JPEG) -> None:
    data = jpeg((400, 300))
    for share in (0.3, 0.6, 0.9, 0.999):
        with pytest.raises(PhotoError) as refusal:
            decode(data[: int(len(data) * share)])
        assert refusal.value.reason in ("truncated", "corrupt")


def test_cmyk_goes_through_its_profile(real_data: Path) -> None:
    path = real_data / "odd_images/sharp/Channel_digital_image_CMYK_color.jpg"
    image = Image.open(path)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    reference = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    pixels = decode(path.read_bytes()).pixels.astype(int)
    assert np.abs(pixels - np.asarray(reference)).max() <= 1
    assert np.abs(pixels - np.asarray(image.convert("RGB"))).mean() > 5


def test_alpha_lies_on_white_and_16_bits_become_8() -> None:
    def png(image: Image.Image) -> bytes:
        content = io.BytesIO()
        image.save(content, "PNG")
        return content.getvalue()

    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, 4:] = (200, 10, 10, 255)
    pixels = decode(png(Image.fromarray(rgba))).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 7].tolist() == [200, 10, 10]
    grey = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    assert decode(png(Image.fromarray(grey))).pixels[..., 0].ravel().tolist() == np.rint(grey / 257).ravel().tolist()
    palette = Image.fromarray(rgba[..., :3]).convert("P", palette=Image.Palette.ADAPTIVE)
    assert decode(png(palette)).pixels[0, 7].tolist() == [200, 10, 10]


def test_an_animation_is_a_drop() -> None:
    content = io.BytesIO()
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(PhotoError, match="animated"):
        decode(content.getvalue())


def test_the_perceptual_hash_survives_resizing_and_tells_photos_apart(jpeg: JPEG) -> None:
    def bits(one: str, other: str) -> int:
        return (int(one, 16) ^ int(other, 16)).bit_count()

    large, small, other = (decode(jpeg(size)).pixels for size in ((400, 300), (400, 300), (401, 300)))
    small = np.asarray(Image.fromarray(small).resize((200, 150)))
    assert bits(perceptual_hash(large), perceptual_hash(small)) <= 6
    assert bits(perceptual_hash(large), perceptual_hash(other)) > 15


@pytest.fixture
def layouts(tmp_path: Path, jpeg: JPEG) -> dict[str, tuple[str, ...]]:
    """The same two photos in each layout that --images takes."""
    photos = {"0a" * 8: jpeg((64, 48)), "f1" * 8: jpeg((65, 48))}
    for name, data in photos.items():
        for folder in ("flat", f"subsets/train_{name[0]}"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / f"{name}.jpg").write_bytes(data)
    (tmp_path / "tars").mkdir()
    for name, data in photos.items():
        with tarfile.open(tmp_path / f"tars/train_{name[0]}.tar", "w") as tar:
            member = tarfile.TarInfo(f"train_{name[0]}/{name}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return {
        "flat": (str(tmp_path / "flat"),),
        "subsets": (str(tmp_path / "subsets"),),
        "globbed": (str(tmp_path / "subsets/train_*"),),
        "tars": (str(tmp_path / "tars/*.tar"),),
        "folder of tars": (str(tmp_path / "tars"),),
        "several": (str(tmp_path / "subsets/train_0"), str(tmp_path / "flat")),
    }


PLAIN_IDS = IdForms(frozenset({0}))


@pytest.mark.parametrize("layout", ["flat", "subsets", "globbed", "tars", "folder of tars", "several"])
def test_photos_are_found_in_every_layout(layouts: dict[str, tuple[str, ...]], tmp_path: Path, layout: str) -> None:
    store = PhotoStore(layouts[layout], anonymous=False)
    places = {row["image_id"]: row for table in store.archived(PLAIN_IDS) for row in table.to_pylist()}
    assert bool(places) == ("tars" in layout)
    for name in ("0a" * 8, "f1" * 8):
        place = places.get(name)
        where = (
            {"archive": place["archive"], "offset": place["archive_offset"], "size": place["archive_size"]}
            if place
            else {}
        )
        assert store.fetch(name, **where) == (tmp_path / f"flat/{name}.jpg").read_bytes()


def test_absent_photos_and_ids_that_leave_the_folder_are_drops(
    layouts: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    store = PhotoStore(layouts["flat"], anonymous=False)
    reasons = {
        "none": "missing",
        "../secret": "unsafe_id",
        "/etc/passwd": "unsafe_id",
        "a\0b": "unsafe_id",
        "x" * 300: "missing",
    }
    for name, reason in reasons.items():
        with pytest.raises(PhotoError) as refusal:
            store.fetch(name)
        assert refusal.value.reason == reason, name


def test_an_empty_file_is_a_drop(tmp_path: Path, jpeg: JPEG) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(PhotoError, match="empty"):
        PhotoStore((str(tmp_path),), anonymous=False).fetch("a")


def test_folders_without_photos_and_compressed_tars_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    for root, message in [
        (tmp_path, "no photo"),
        (tmp_path / "none", "no such folder"),
        ("a.tar.gz", "unpack it first"),
    ]:
        with pytest.raises(InputError, match=message):
            PhotoStore((str(root),), anonymous=False)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("rotation", "corner"), [(None, "top right"), (0, "top left")])
def test_formats_agree_on_orientation(kind: str, rotation: float | None, corner: str) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    content = io.BytesIO()
    Image.fromarray(marked()).save(content, kind, exif=tags)
    photo = decode(content.getvalue(), rotation=rotation)
    assert corner_of(marker_of(photo.pixels)) == corner
    assert photo.turn_box(MARKER) == pytest.approx(marker_of(photo.pixels), abs=0.04)


def test_a_tar_in_a_folder_hides_none_of_its_photos(layouts: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    (tmp_path / "tars/train_0.tar").rename(tmp_path / "flat/backup.tar")
    store = PhotoStore(layouts["flat"], anonymous=False)
    assert store.archives and store.fetch("0a" * 8)
