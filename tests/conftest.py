"""What many tests share: real photos where they are, photos made in code everywhere, untrained encoders."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as where the environment is active
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads that wait for each other burn the time of other tests
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image

from pipeline.config import PRESETS, ShardConfig
from pipeline.encoders.clip import ClipEncoder, load_clip
from pipeline.encoders.facts import facts_of
from pipeline.encoders.fingerprints import make_deterministic
from pipeline.encoders.protocols import Codec, ExemplarEncoder
from pipeline.encoders.vae import VaeEncoder, load_vae
from pipeline.jobs.inputs import check_inputs
from pipeline.jobs.preparation import PreparedJob, pending_tasks, prepare
from pipeline.jobs.retrying import end_retry, take_up_retry
from pipeline.photos.sample_photos import write_openimages_folder
from pipeline.shards.manifest import finish_dataset
from pipeline.shards.records import read_records
from pipeline.storage.folder import Folder
from pipeline.units.maker import UnitMaker
from tests.object_storage import Proxy, reached, serve_s3

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Make = Callable[..., PreparedJob]
SmallDisk = tuple[Path, Callable[[str], None]]
RAY_TESTS = Path(__file__).parent / "ray_jobs"
FAULTS = ("test_object_storage.py",)  # on a Ray that its job starts
LONGEST = ("trainings", "ray", "faults", "fiftyone")  # groups of tests, by how long they take
CHROMIUM = "/usr/bin/chromium"
REQUIRED = "PBE_REQUIRE_BROWSER"  # set by CI, where what is missing must not be skipped
REAL = Path(__file__).parent.parent.parent / "shared" / "data"

settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("ours")
torch.set_num_threads(1)
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


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a pytest under which xdist ignores groups, without a word: each worker would start its own Ray."""
    for item in session.items if session.config.getoption("loadgroup", False) else ():
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(f"pytest {pytest.__version__}: xdist cannot group tests; install one below 9.2")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
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
    out = Folder(str(tmp_path_factory.mktemp("sample")))
    return Path(write_openimages_folder(out).url)


@pytest.fixture(scope="session")
def vae() -> VaeEncoder:
    make_deterministic()
    return load_vae("untrained", device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def clip() -> ClipEncoder:
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
def maker_of(vae: VaeEncoder, clip: ClipEncoder) -> Callable[..., UnitMaker]:
    """Make what turns a job's units into shards, as its actors do."""

    def new_maker(job: PreparedJob, *, threads: int = 1) -> UnitMaker:
        written = (job.class_names, job.recipe_digest)
        return UnitMaker(job.config, job.out, job.store, vae, clip, *written, threads, generation=job.intent.generation)

    return new_maker


@pytest.fixture(scope="session")
def make(maker_of: Callable[..., UnitMaker], sample_folder: Path, vae: VaeEncoder, clip: ClipEncoder) -> Make:
    """Make a dataset in `out`; keyword arguments change the config; `threads`, `finish`, `sources` how it is made."""

    def make_dataset(
        out: Path,
        *,
        threads: int = 1,
        finish: bool = True,
        sources: Codec | None = None,
        exemplars: ExemplarEncoder | None = None,
        **changes: Any,
    ) -> PreparedJob:
        inputs = {
            "boxes": (str(sample_folder / "train-annotations-bbox.csv"),),
            "images": (str(sample_folder / "train"),),
            "image_info": (str(sample_folder / "train-images-boxable-with-rotation.csv"),),
            "classes": str(sample_folder / "class-descriptions-boxable.csv"),
        }
        config: ShardConfig = replace(PRESETS["tiny"], **{"out": str(out), "resolution": 64, **inputs, **changes})
        quiet = {"say": lambda line: None, "progress": lambda rows: None}
        chosen: tuple[Codec, ExemplarEncoder] = (sources or vae, exemplars or clip)
        job = prepare(check_inputs(config), Folder(config.out), device="cpu", encoders=facts_of(*chosen), **quiet)
        job = take_up_retry(job, say=lambda line: None)
        maker = replace(maker_of(job, threads=threads), sources=chosen[0], exemplars=chosen[1])
        for task in pending_tasks(job)[0]:
            maker.make(task)
        if finish:
            end_retry(job)
            records = read_records(job.out)
            finish_dataset(job.out, records, recipe=job.recipe, plan=job.plan, draws=config.draws, names=job.names)
        return job

    return make_dataset


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """An S3 server on loopback with one empty bucket, to which this process's fsspec leads."""
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
