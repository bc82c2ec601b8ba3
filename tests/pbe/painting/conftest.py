from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pbe.painting.asked import Asked
from pbe.painting.config import PaintingConfig
from pbe.painting.painter import Painter
from tests.pbe.editing.tiny_model import random_picture, write_model

MakeAsked = Callable[..., Asked]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return write_model(tmp_path_factory.mktemp("painting") / "model")


@pytest.fixture(scope="session")
def painter(model: Path) -> Painter:
    from pbe.editing.run import load

    base = PaintingConfig(model=str(model)).edits("edited.png")
    return Painter(load(base), base)


@pytest.fixture
def ask(tmp_path: Path) -> MakeAsked:
    """Make what a visitor asks for, as files of the page's editors; keyword arguments change it."""

    def make(*, name: str = "one", seed_of_pictures: int = 0, **changes: Any) -> Asked:
        folder = tmp_path / f"uploads-{name}"
        folder.mkdir()
        brushed = np.zeros((40, 56, 4), np.uint8)
        brushed[10:24, 16:36] = 255
        pictures = {
            "source": random_picture(40, 56, seed=seed_of_pictures),
            "brushed": brushed,
            "exemplar": random_picture(30, 20, seed=seed_of_pictures + 1),
        }
        for file, pixels in pictures.items():
            Image.fromarray(pixels).save(folder / f"{file}.png")
        paths = {file: folder / f"{file}.png" for file in pictures}
        numbers = {"guidance": 3.0, "steps": 2, "seed": 5, "pictures": 1, "blend": "hole"}
        return Asked(**{**paths, **numbers, **changes})

    return make
