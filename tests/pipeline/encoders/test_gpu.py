"""On a GPU: the encoders give the latents and vectors of the CPU, and repeat their bits."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pipeline.encoders.clip import load_clip
from pipeline.encoders.fingerprints import make_deterministic
from pipeline.encoders.pixels import signed
from pipeline.encoders.vae import load_vae

pytestmark = pytest.mark.gpu

PIXELS = np.random.default_rng(0).integers(0, 255, (8, 224, 224, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def exact_float32() -> Iterator[None]:
    """As the job encodes, but without TF32, which the CPU does not have."""
    make_deterministic()
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize(("dtype", "limit"), [("float32", 2e-3), ("float16", 1e-2), ("bfloat16", 5e-2)])
def test_gpu_encodes_as_the_cpu(dtype: str, limit: float) -> None:
    for load, inputs in ((load_vae, signed(PIXELS)), (load_clip, PIXELS)):
        on_cpu, on_gpu = load("untrained", device="cpu", dtype="float32"), load("untrained", device="cuda", dtype=dtype)
        expected, got = (encoder.encode(inputs).astype(np.float32) for encoder in (on_cpu, on_gpu))
        assert np.linalg.norm(got - expected) < limit * np.linalg.norm(expected), load.__name__


def test_gpu_encoders_repeat_their_bits() -> None:
    vae, clip = (load("untrained", device="cuda", dtype="float32") for load in (load_vae, load_clip))
    for encoder, inputs in ((vae, signed(PIXELS)), (clip, PIXELS)):
        first = encoder.encode(inputs)
        assert all(np.array_equal(first, encoder.encode(inputs)) for _ in range(3))
