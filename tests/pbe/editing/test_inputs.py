from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbe.editing.inputs import box_mask, read_mask, read_picture
from pipeline.errors import InputError
from tests.pbe.editing.tiny_model import random_picture


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
    assert np.array_equal(read_mask(image, read), read_mask(str(tmp_path / name), read))


@pytest.mark.parametrize("box", ["1,2,3", "5,5,5,9", "-1,0,5,5", "0,0,57,9", "a,b,c,d"])
def test_boxes_outside_the_source_are_refused(box: str) -> None:
    with pytest.raises(InputError, match="--box"):
        box_mask(box, random_picture(40, 56))
