"""A picture that was made is taken only as it was made."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pbe.evaluation.metrics.feature_cache import key_of
from pbe.evaluation.running.editing import read_made
from pipeline.errors import InputError
from pipeline.storage.folder import Folder

PICTURE = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
KEY = key_of(PICTURE).hex()


def png(picture: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()


def test_a_picture_that_was_made_is_read_as_it_was(tmp_path: Path) -> None:
    Folder(str(tmp_path)).write("a.png", png(PICTURE))
    assert np.array_equal(read_made(Folder(str(tmp_path)), "a.png", KEY), PICTURE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no picture", "cannot be read (it is no picture)"),
        (png(PICTURE)[:200], "cannot be read"),
        (png(PICTURE[::-1]), "is not the picture that was made"),
    ],
)
def test_one_that_is_damaged_or_another_is_refused_with_the_remedy(tmp_path: Path, content: bytes, said: str) -> None:
    Folder(str(tmp_path)).write("a.png", content)
    with pytest.raises(InputError) as refused:
        read_made(Folder(str(tmp_path)), "a.png", KEY)
    assert f"{tmp_path}/a.png: " in str(refused.value) and said in str(refused.value)
    assert "0x" not in str(refused.value) and "remove it, and run the same command again" in str(refused.value)
