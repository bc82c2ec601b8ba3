"""Machine: this computer and its libraries -> what a benchmark's figures must be read with; results -> JSON."""

import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch

SKIPPED = 77  # exit code of a check that could not run here, as automake and others have it
NO_CUDA = "no CUDA"

# Dense bfloat16 peaks in TFLOP/s, from NVIDIA's datasheets; the first name found in the device's name counts.
PEAK_TFLOPS = {
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,  # SXM
    "H200 NVL": 835.0,
    "H200": 989.0,  # SXM
    "A100": 312.0,
}
_LIBRARIES = ("torch", "diffusers", "transformers", "deepspeed", "webdataset", "triton")


def peak_tflops(device_name: str) -> float | None:
    """Look up a GPU's dense bfloat16 peak in TFLOP/s; None: a device that is not in the table."""
    return next((peak for name, peak in PEAK_TFLOPS.items() if name in device_name), None)


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else _processor()


def describe_machine(device: str) -> dict[str, Any]:
    """Tell device, date, versions, threads and load."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S%z"),
        "device": device_name(device),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if device == "cuda" else None,
        "versions": {name: _version(name) for name in _LIBRARIES},
    }


def free_memory_gib() -> float:
    """Tell how much memory programs can still take here (Linux)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) / 2**20


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write aside and rename, so that an interrupted benchmark leaves the rows it had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(content, indent=1) + "\n")
    aside.replace(path)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip() if names else platform.machine()


def main() -> None:
    """Write the description of a machine with a GPU; exit 77 without one."""
    if not torch.cuda.is_available():
        print(f"skipped: {NO_CUDA}")
        sys.exit(SKIPPED)
    machine = describe_machine("cuda")
    write_json(Path(sys.argv[1]), machine)
    print(f"{machine['device']}, torch {torch.__version__}, CUDA {torch.version.cuda}")


if __name__ == "__main__":
    main()
