import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbe.editing.case import Case
from pbe.editing.inputs import box_mask, read_case, read_mask, read_picture
from pipeline.errors import InputError
from tests.pbe.editing.tiny_model import random_picture, write_pictures


def _unlike_files() -> dict[str, Image.Image]:
    """Pictures in modes that a PIL image and a file might mean different things in."""
    colours = random_picture(40, 56)
    clear = np.dstack([colours, np.tile(np.linspace(0, 255, 56).astype(np.uint8), (40, 1))])
    return {
        "deep.png": Image.fromarray(colours[..., 0].astype(np.uint16) * 200),
        "clear.png": Image.fromarray(clear),
        "palette.png": Image.fromarray(colours).convert("P"),
        "inks.tif": Image.fromarray(colours).convert("CMYK"),
        "shares.tif": Image.fromarray(colours[..., 0].astype(np.float32) / 255),
    }


@pytest.mark.parametrize("name", _unlike_files())
def test_a_pil_image_means_what_its_file_means(tmp_path: Path, name: str) -> None:
    image = _unlike_files()[name]
    image.save(tmp_path / name)
    read = read_picture(str(tmp_path / name), "source")
    assert np.array_equal(read_picture(image, "source"), read)
    from_image, from_file = (read_mask(given, read, repaint="nonzero") for given in (image, str(tmp_path / name)))
    assert np.array_equal(from_image, from_file)


@pytest.mark.parametrize("box", ["1,2,3", "5,5,5,9", "-1,0,5,5", "0,0,57,9", "a,b,c,d"])
def test_boxes_outside_the_source_are_refused(box: str) -> None:
    with pytest.raises(InputError, match="--box"):
        box_mask(box, random_picture(40, 56))


def test_paths_of_a_table_are_names_beside_it_in_any_normal_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = "caf\u00e9 [1]/\u00fc%20#?.png", "zip::mask*.png", "~.png"
    for path, name in zip(write_pictures(tmp_path / "in").values(), written, strict=True):
        stored = tmp_path / unicodedata.normalize("NFD", name)
        stored.parent.mkdir(exist_ok=True)
        path.rename(stored)
    for table in ("cases.csv", f"{tmp_path}/cases.csv", "./cases.csv"):
        case = Case("a", written[0], written[2], mask=written[1], table=table)
        assert read_case(case).mask.sum() == 14 * 20


def test_paths_of_a_table_on_a_web_server_are_encoded_once_and_urls_in_it_stay() -> None:
    case = Case("a", "a b/p[1]%.png", "s3://bucket/a b.png", mask="/in/m::.png", table="http://host/x%20y/cases.csv")
    assert case.inputs == {
        "source": "http://host/x%20y/a%20b/p%5B1%5D%25.png",
        "mask": "/in/m::.png",
        "exemplar": "s3://bucket/a b.png",
    }
