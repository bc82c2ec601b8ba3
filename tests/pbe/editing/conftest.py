from pathlib import Path

import pytest

from pbe.edit import Editor, load_editor
from tests.pbe.editing.tiny_model import write_model, write_pictures


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return write_model(tmp_path_factory.mktemp("editing") / "model")


@pytest.fixture(scope="session")
def editor(folder: Path) -> Editor:
    return load_editor(str(folder))


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """The paths of a source, a mask and an exemplar."""
    return write_pictures(tmp_path / "in")
