"""Encoders: VAE and CLIP ViT-L/14 at full size, weights at random: latents and vectors of a GPU against the CPU's.

    python -m tests.benchmarks.encoders [--json FILE]

Compares what the shard job stores (float16) in each precision it offers, by the relative error |gpu - cpu| / |cpu|
against float32 on the CPU, and times the GPU: samples/s of two VAE encodings at 512 px and one vector. Exits 1 where an
error is over its limit, 77 without a GPU.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.vae import VaeEncoder
from tests.benchmarks.machine import NO_CUDA, SKIPPED, describe_machine, write_json
from tests.benchmarks.step_models import SIZES, Sizes, build_clip, build_vae

LIMITS = {"float32": 2e-3, "float16": 1e-2, "bfloat16": 5e-2}  # float16 storage alone gives about 3e-4
COMPARED, BATCH, REPEATS = 2, 16, 5
Codes = tuple[NDArray[np.float16], NDArray[np.float16]]


@dataclass(frozen=True)
class Pair:
    """Both encoders on one device."""

    vae: VaeEncoder
    clip: ClipEncoder

    def encode(self, images: torch.Tensor, exemplars: NDArray[np.uint8]) -> Codes:
        return self.vae.encode(images), self.clip.encode(exemplars)


def make_pair(sizes: Sizes, *, device: str, dtype: str) -> Pair:
    """Build encoders with the same random weights on any device."""
    torch.manual_seed(0)
    torch_dtype = getattr(torch, dtype)
    vae, clip = build_vae(sizes).to(device, torch_dtype), build_clip(sizes).to(device, torch_dtype)
    factor = 2 ** (len(sizes.vae_widths) - 1)
    return Pair(
        VaeEncoder("random", "", factor, 4, vae),
        ClipEncoder("random", "", sizes.clip_width, clip),
    )


def draw_inputs(sizes: Sizes, b: int) -> tuple[torch.Tensor, NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.uniform(-1, 1, (b, 3, sizes.picture, sizes.picture)).astype(np.float32))
    return images, rng.integers(0, 255, (b, 224, 224, 3), dtype=np.uint8)


def relative_errors(codes: Codes, expected: Codes) -> dict[str, float]:
    pairs = zip(("latents", "vectors"), codes, expected, strict=True)
    return {name: _relative(a.astype(np.float64), b.astype(np.float64)) for name, a, b in pairs}


def _relative(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def samples_per_second(pair: Pair, sizes: Sizes) -> float:
    images, exemplars = draw_inputs(sizes, BATCH)
    pair.encode(images, exemplars)  # warms up
    began = time.perf_counter()
    for _ in range(REPEATS):
        pair.vae.encode(images)
        pair.encode(images, exemplars)
    return BATCH * REPEATS / (time.perf_counter() - began)


def compare_precisions(sizes: Sizes, *, device: str) -> list[dict[str, Any]]:
    """Compare each precision on a device with float32 on the CPU."""
    inputs = draw_inputs(sizes, COMPARED)
    expected = make_pair(sizes, device="cpu", dtype="float32").encode(*inputs)
    rows = []
    for dtype, limit in LIMITS.items():
        pair = make_pair(sizes, device=device, dtype=dtype)
        errors = relative_errors(pair.encode(*inputs), expected)
        passed = all(error <= limit for error in errors.values())  # NaN does not pass
        rows.append({"dtype": dtype, **errors, "limit": limit, "passed": passed})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare encoders on a GPU with the CPU's")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(f"skipped: {NO_CUDA}")
        sys.exit(SKIPPED)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    sizes = SIZES["sd-v1"]
    rows = compare_precisions(sizes, device="cuda")
    for row in rows:
        row["samples_per_s"] = samples_per_second(make_pair(sizes, device="cuda", dtype=row["dtype"]), sizes)
    if options.json:
        write_json(options.json, {"machine": describe_machine("cuda"), "rows": rows})
    for row in rows:
        print(
            f"{row['dtype']:9} latents {row['latents']:.1e}, vectors {row['vectors']:.1e} (limit {row['limit']:.0e}), "
            f"{row['samples_per_s']:.0f} samples/s{'' if row['passed'] else '  FAILED'}"
        )
    sys.exit(not all(row["passed"] for row in rows))


if __name__ == "__main__":
    main()
