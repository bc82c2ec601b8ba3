"""What many tests share: real photos where they are, photos made in code everywhere, untrained encoders.

The process that only hands tests out to others reads this file, too: what is heavy is imported where it is used.
"""

import gc
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as where the environment is active
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["OMP_NUM_THREADS"] = "1"  # threads that wait for each other burn the time of other tests
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from pipeline.encoders.clip import ClipEncoder
    from pipeline.encoders.vae import VaeEncoder
    from tests.making import Make, MakerOf
    from tests.object_storage import Proxy

SmallDisk = tuple[Path, Callable[[str], None]]
RAY_TESTS = Path(__file__).parent / "ray_jobs"
FAULTS = ("test_object_storage.py",)  # on a Ray that its job starts
LONGEST = ("trainings", "ray", "faults", "fiftyone")  # groups of tests, by how long they take
CHROMIUM = "/usr/bin/chromium"
REQUIRED = "PBE_REQUIRE_BROWSER"  # set by CI, where what is missing must not be skipped
REAL = Path(__file__).parent.parent.parent / "shared" / "data"

settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("ours")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and so would what tests start


PROCESS_FIXTURES = {
    "quiet_environment",
    "small_disk",
    "s3",
    "fiftyone_database",
    "chromium",
}  # they start processes or servers


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers, and xdist at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if RAY_TESTS in item.path.parents:  # on one worker each, which starts one Ray for all of them
            item.add_marker(pytest.mark.xdist_group("faults" if item.path.name in FAULTS else "ray"))
        if "fiftyone_database" in getattr(item, "fixturenames", ()):  # likewise, with one mongod and one App
            item.add_marker(pytest.mark.xdist_group("fiftyone"))
        if not item.get_closest_marker("xdist_group"):  # what a module's fixtures make is made once
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
        if PROCESS_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("processes")
    items.sort(key=_start)  # a long group that starts late is what everybody waits for


def _start(item: pytest.Item) -> int:
    """When a test's group starts: the longest first, then module by module."""
    group = item.get_closest_marker("xdist_group")
    return LONGEST.index(group.args[0]) if group and group.args[0] in LONGEST else len(LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import all tests without looking for garbage, nor later among what they imported: a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a pytest under which xdist ignores groups, without a word: each worker would start its own Ray."""
    for item in session.items if session.config.getoption("loadgroup", False) else ():
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(f"pytest {pytest.__version__}: xdist cannot group tests; install one below 9.2")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA GPU")


def skip(reason: str) -> None:
    """Skip a test, or fail it where CI has promised that nothing is missing."""
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, and {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photos and tables; tests that need it are skipped where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"needs the real photos in {REAL}")
    return REAL


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample photos as an Open Images folder."""
    from pipeline.photos.sample_photos import write_openimages_folder
    from pipeline.storage.folder import Folder

    return Path(write_openimages_folder(Folder(str(tmp_path_factory.mktemp("sample")))).url)


@pytest.fixture(scope="session")
def vae() -> "VaeEncoder":
    from pipeline.encoders.fingerprints import make_deterministic
    from pipeline.encoders.vae import load_vae

    make_deterministic()
    return load_vae("untrained", device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def clip() -> "ClipEncoder":
    from pipeline.encoders.clip import load_clip

    return load_clip("untrained", device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def jpeg() -> Callable[..., bytes]:
    """Make a JPEG: pixels [h, w, 3] or a size, and an EXIF orientation."""

    def make(pixels: np.ndarray | tuple[int, int], *, exif: int | None = None) -> bytes:
        if isinstance(pixels, tuple):
            noise = np.random.default_rng(pixels[0]).integers(0, 255, (8, 8, 3), dtype=np.uint8)
            image = Image.fromarray(noise).resize(pixels, Image.Resampling.BICUBIC)
        else:
            image = Image.fromarray(pixels)
        options = {}
        if exif is not None:
            tags = Image.Exif()
            tags[0x0112] = exif
            options["exif"] = tags
        content = io.BytesIO()
        image.save(content, "JPEG", quality=95, **options)
        return content.getvalue()

    return make


@pytest.fixture(scope="session")
def maker_of(vae: "VaeEncoder", clip: "ClipEncoder") -> "MakerOf":
    """Make what turns a job's units into shards, as its actors do."""
    from tests.making import unit_makers

    return unit_makers(vae, clip)


@pytest.fixture(scope="session")
def make(maker_of: "MakerOf", sample_folder: Path, vae: "VaeEncoder", clip: "ClipEncoder") -> "Make":
    """Make a dataset in `out`; keyword arguments change the config; `threads`, `finish`, `sources` how it is made."""
    from tests.making import dataset_makers

    return dataset_makers(maker_of, sample_folder, vae, clip)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator["Proxy"]:
    """An S3 server on loopback with one empty bucket, to which this process's fsspec leads."""
    from tests.object_storage import reached, serve_s3

    with serve_s3() as proxy, reached(proxy, monkeypatch):
        yield proxy


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A real browser, for one module: while it runs, Playwright keeps an event loop of its own in this thread."""
    from playwright.sync_api import sync_playwright

    if not Path(CHROMIUM).exists():
        skip(f"there is no {CHROMIUM}: apt install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A filesystem of its own, and a way to give it another size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounting a tmpfs is not allowed here: {mounted.stderr.decode().strip()}")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)

    yield disk, resize
    subprocess.run(["umount", str(disk)], check=True)
