"""Flickr ids: read from the tables of Open Images and COCO, whichever way a bench names its photos."""

import json
from pathlib import Path

import pytest

from pbe.evaluation.overlap.flickr import flickr_ids, join
from pipeline.errors import InputError

COCO = {
    "images": [
        {
            "id": 37,
            "file_name": "000000000037.jpg",
            "flickr_url": "http://farm7.staticflickr.com/6116/6255196340_da_z.jpg",
        },
        {
            "id": 90,
            "file_name": "000000000090.jpg",
            "flickr_url": "http://farm1.staticflickr.com/1/67/197493648_2b_z.jpg",
        },
        {"id": 91, "file_name": "000000000091.jpg", "flickr_url": ""},
    ],
    "annotations": [{"id": 90, "image_id": 37}, {"id": 900100000090, "image_id": 90}, {"id": 8, "image_id": 91}],
}


@pytest.fixture
def coco(tmp_path: Path) -> str:
    (tmp_path / "instances.json").write_text(json.dumps(COCO))
    return str(tmp_path / "instances.json")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["000000000037", "000000000090", "000000000091"], {"000000000037": 6255196340, "000000000090": 197493648}),
        (["37", "90"], {"37": 6255196340, "90": 197493648}),
        (["000000000090", "900100000090"], {"000000000090": 6255196340, "900100000090": 197493648}),
        (["cat", "²"], {}),
    ],
    ids=["file names", "image ids", "ids of annotations", "none of these"],
)
def test_coco_photos_are_known_by_file_image_or_annotation(
    coco: str, names: list[str], expected: dict[str, int]
) -> None:
    assert flickr_ids(coco, names) == expected


def test_open_images_photos_are_known_by_page_else_by_file(tmp_path: Path) -> None:
    table = tmp_path / "info.csv"
    table.write_text(
        "ImageID,Subset,OriginalURL,OriginalLandingURL,Title\n"
        "4fa8,train,https://farm3.staticflickr.com/5310/1_5_o.jpg,https://www.flickr.com/photos/michael-beat/5898076654,\n"
        'b37f,train,https://c1.staticflickr.com/1/67/197493648_2b72_o.jpg,,"two\nlines"\n'
        "0000,train,https://example.org/12345_a.jpg,,\n"
        "ffff,train,https://c1.staticflickr.com/1/67/197493649_2b72_o.jpg,,\n"
    )
    found = flickr_ids(str(table), {"4fa8", "b37f", "0000"})
    assert found == {"4fa8": 5898076654, "b37f": 197493648}


def test_photos_with_one_id_are_joined() -> None:
    assert join({"a": 1, "b": 2, "c": 2}, {"x": 2, "y": 3}) == [("b", "x", 2), ("c", "x", 2)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("other.csv", "ImageID,Rotation\na,0\n", "lacks ImageID, or both of"),
        ("torn.json", '{"images": [', "is not a COCO file"),
        ("list.json", "[1]", "is not a COCO file"),
    ],
)
def test_other_tables_are_refused_by_name(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=f"{name}: {said}"):
        flickr_ids(str(tmp_path / name), ["a"])
