"""Pairs of one's own, and a dataset of such to look at."""

from pathlib import Path

import pytest

from tests.pipeline.pairing.own_pairs import Jpeg, make, write_pairs


@pytest.fixture
def folder(tmp_path: Path, jpeg: Jpeg) -> Path:
    return write_pairs(tmp_path / "own", jpeg)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, jpeg: Jpeg) -> tuple[Path, Path]:
    """Pairs and the dataset of them, to look at only."""
    root = tmp_path_factory.mktemp("pairs")
    assert make(write_pairs(root / "own", jpeg), root / "out") == 0
    return root / "own", root / "out"
