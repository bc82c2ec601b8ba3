import os
import weakref
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest

from pipeline.arrays import Pixels
from pipeline.errors import InputError, PhotoError
from pipeline.fitting.photos import AHEAD, SQUARES, THREADS, end_squares, list_photos, object_squares, read_squares

Jpeg = Callable[..., bytes]


def read_whole(places: list[str]) -> list[list[Pixels] | PhotoError]:
    return list(read_squares(places, lambda photo: [photo], advance=lambda: None))


def test_neither_names_nor_copies_nor_folders_change_what_is_listed(jpeg: Jpeg, tmp_path: Path) -> None:
    first, second = jpeg((64, 48)), jpeg((50, 70))
    for name, data in {"one/a.jpg": first, "one/b.JPG": second, "two/x/c.jpeg": second, "two/d.jpg": first}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "one/notes.txt").write_text("no photo")
    both = [list(list_photos([str(tmp_path / name)], limit=0, advance=lambda: None)) for name in ("one", "two")]
    assert both[0] == both[1] == sorted(both[0]) and len(both[0]) == 2
    all_of_it = list_photos([str(tmp_path / "two"), str(tmp_path)], limit=1, advance=lambda: None)
    assert list(all_of_it) == both[0][:1]


def test_photos_come_upright_and_those_that_cannot_be_used_with_the_reason(jpeg: Jpeg, tmp_path: Path) -> None:
    (tmp_path / "turned.jpg").write_bytes(jpeg((64, 48), exif=6))
    (tmp_path / "cut.jpg").write_bytes(jpeg((64, 48))[:500])
    turned, broken = read_whole([str(tmp_path / "turned.jpg"), str(tmp_path / "cut.jpg")])
    assert isinstance(turned, list) and turned[0].shape == (64, 48, 3)
    assert isinstance(broken, PhotoError)


def test_a_folder_called_like_a_photo_is_a_folder_and_what_cannot_be_read_is_lost(jpeg: Jpeg, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    (tmp_path / "a.jpg/b.jpg").write_bytes(jpeg((64, 48)))
    (tmp_path / "c.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(tmp_path / "d.jpg")  # to read it would wait for ever
    listed = list_photos([str(tmp_path)], limit=0, advance=lambda: None).values()
    assert {Path(place).name for place in listed} == {"b.jpg", "c.jpg"}  # of what cannot be read, one
    places = [str(tmp_path / name) for name in ("a.jpg/b.jpg", "c.jpg", "d.jpg")]
    good, missing, pipe = read_whole(places)
    assert isinstance(good, list) and isinstance(missing, PhotoError) and isinstance(pipe, PhotoError)
    assert (missing.reason, pipe.reason) == ("missing", "not_a_file")


def test_folders_that_are_links_are_sub_folders_too_and_those_in_a_circle_end(jpeg: Jpeg, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/a.jpg").write_bytes(jpeg((64, 48)))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/train").symlink_to(tmp_path / "disk")
    (tmp_path / "photos/again").symlink_to(tmp_path / "photos")
    listed = list_photos([str(tmp_path / "photos")], limit=0, advance=lambda: None).values()
    assert list(listed) == [str(tmp_path / "photos/train/a.jpg")]


def test_photos_at_a_url_are_read_whatever_their_names_hold(jpeg: Jpeg) -> None:
    storage = fsspec.filesystem("memory")
    storage.pipe_file("/my photos [1]/ä/b.jpg", jpeg((64, 48)))
    listed = list_photos(["memory://my photos [1]"], limit=0, advance=lambda: None).values()
    [photo] = read_whole(list(listed))
    assert isinstance(photo, list) and photo[0].shape == (48, 64, 3)


def test_a_folder_that_is_missing_or_without_photos_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match=f"--photos {folder}"):
            list_photos([str(folder)], limit=0, advance=lambda: None)


@pytest.mark.parametrize(("size", "ends"), [((40, 60), 2), ((60, 40), 2), ((50, 50), 1)])
def test_squares_reach_both_ends_of_a_photo(size: tuple[int, int], ends: int) -> None:
    photo = np.zeros((*size, 3), np.uint8)
    photo[0, 0], photo[-1, -1] = 90, 200
    squares = end_squares(photo, min(size))
    assert len(squares) == ends and len(object_squares(photo, 20)) == ends + 5 <= SQUARES
    assert squares[0][0, 0, 0] == 90 and squares[-1][-1, -1, 0] == 200


def test_no_more_photos_are_in_memory_than_are_being_decoded(jpeg: Jpeg, tmp_path: Path) -> None:
    places = [str(tmp_path / f"{number}.jpg") for number in range(3 * AHEAD)]
    for number, place in enumerate(places):
        Path(place).write_bytes(jpeg((64 + number, 48)))
    alive: list[weakref.ref[Pixels]] = []
    most = 0

    def cut_squares(photo: Pixels) -> list[Pixels]:
        nonlocal most
        alive.append(weakref.ref(photo))
        most = max(most, sum(photo() is not None for photo in list(alive)))
        return end_squares(photo, 20)

    read = list(read_squares(places, cut_squares, advance=lambda: None))
    assert len(read) == len(places) and 1 <= most <= THREADS
