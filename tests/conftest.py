"""What many tests share: real photos where they are, photos made in code everywhere, untrained encoders."""

import io
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image

from pipeline.encoders import ClipEncoder, VaeEncoder, load_clip, load_vae, make_deterministic
from pipeline.sample_photos import write_openimages_folder
from pipeline.storage import Folder

REAL = Path(__file__).parent.parent.parent / "shared" / "data"

settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("ours")
torch.set_num_threads(1)


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


@pytest.fixture
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
