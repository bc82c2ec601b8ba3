"""Pins: what is installed here -> the packages that the GPU checks import, with all they need, as NAME==VERSION.

    python tests/benchmarks/gpu_pins.py [PRESENT]

Without torch and what belongs to it, and without the names in the file PRESENT.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOTS = [
    *("accelerate", "albumentations", "bezier", "deepspeed", "diffusers", "fsspec", "hypothesis", "matplotlib"),
    *("opencv-python-headless", "pyarrow", "pytest", "pytest-timeout", "rich", "s3fs", "safetensors", "scikit-image"),
    *("scikit-learn", "tensorboard", "tqdm", "transformers", "tyro", "webdataset"),
]
_WITH_TORCH = re.compile(r"torch|triton|nvidia-.*|cuda-.*")


def installed_needs(roots: list[str], left_out: set[str]) -> dict[str, str]:
    """Follow the requirements of installed packages -> names and versions."""
    versions: dict[str, str] = {}
    pending = list(roots)
    while pending:
        name = _plain(pending.pop())
        if name in versions or name in left_out or _WITH_TORCH.fullmatch(name):
            continue
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # wanted on another system or Python only
        versions[name] = found.version
        needs = [Requirement(line) for line in found.requires or ()]
        pending += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return versions


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s=<>@\[;]", name.strip())[0]).lower()


def main() -> None:
    present = Path(sys.argv[1]).read_text().splitlines() if len(sys.argv) > 1 else []
    for name, version in sorted(installed_needs(ROOTS, {_plain(line) for line in present}).items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
