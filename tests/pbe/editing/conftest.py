from pathlib import Path

import pytest

from pbe.edit import Editor, load_editor
from tests.pbe.editing.tiny_model import write_model, write_pictures
from tests.pipeline.storage.odd_names import ALL_OF_IT


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return write_model(tmp_path_factory.mktemp("editing") / ALL_OF_IT / "model")


@pytest.fixture(scope="session")
def editor(folder: Path) -> Editor:
    return load_editor(str(folder))


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """The paths of a source, a mask and an exemplar."""
    return write_pictures(tmp_path / ALL_OF_IT)
