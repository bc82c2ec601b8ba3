"""Datasets for the feed: synthetic ones, one of real photos, and one on object storage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import s3fs

from pbe.feed.config import FeedConfig
from pipeline.jobs.preparation import PreparedJob
from pipeline.storage.folder import Folder
from schemas.shards import MANIFEST
from tests.object_storage import Proxy
from tests.pbe.feed.feeds import COUNTS
from tests.synthetic import write_synthetic


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """35, 36 and 36 samples in three draws; to be copied before it is changed."""
    out = tmp_path_factory.mktemp("synthetic")
    write_synthetic(out, COUNTS)
    return out


@pytest.fixture(scope="session")
def config(synthetic: Path) -> FeedConfig:
    return FeedConfig(data=str(synthetic), batch_size=8, lanes=4, block=3, workers=0, seed=5)


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dataset")


@pytest.fixture
def dataset(make: Callable[..., PreparedJob], _made: Path) -> Path:
    """Real photos, sources kept; some in train, some in validation."""
    if not (_made / MANIFEST).exists():
        make(_made, keep_source=True)
    return _made


@pytest.fixture
def bucket(s3: Proxy, synthetic: Path) -> str:
    """The synthetic dataset on an S3 server on loopback."""
    out = Folder("s3://bucket/d")
    for file in synthetic.rglob("*"):
        if file.is_file():
            out.write(str(file.relative_to(synthetic)), file.read_bytes())
    return out.url


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Every object asked of S3, and the range asked for."""
    seen: list[tuple[str, str | None]] = []
    call = s3fs.S3FileSystem._call_s3

    async def watched(self: s3fs.S3FileSystem, method: str, *arguments: Any, **options: Any) -> Any:
        if method == "get_object":
            seen.append((options["Key"], options.get("Range")))
        return await call(self, method, *arguments, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", watched)
    return seen
