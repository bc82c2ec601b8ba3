"""Sheet: CPU-seconds and bytes of the page of a dataset's samples, from the start of the command to its end.

    python -m tests.benchmarks.sheet DATASET [--limit 500]

Give a dataset of at least as many samples, 512 px, with its sources: that of 100 photos with `--draws 6`, as
tests/benchmarks/README.md makes it.
"""

import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).parent.parent.parent
MAX_CPU_SECONDS, MAX_MIB = 20, 8  # of 500 samples


@dataclass(frozen=True)
class SheetConfig:
    """Measure the page of a dataset."""

    dataset: tyro.conf.Positional[str]
    """The dataset."""
    limit: int = 500
    """Samples on the page."""
    runs: int = 3
    """Pages made, of which the one that took least counts."""


def main() -> int:
    """Measure, and print beside the limits."""
    config = tyro.cli(SheetConfig, description=SheetConfig.__doc__)
    seconds = []
    with tempfile.TemporaryDirectory(prefix="sheet-") as scratch:
        page = Path(scratch) / "page.html"
        command = [sys.executable, "dashboards/browse.py", config.dataset, "--sheet", str(page)]
        for _ in range(config.runs):
            before = _cpu_seconds()
            subprocess.run([*command, "--limit", str(config.limit)], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
            seconds.append(_cpu_seconds() - before)
        mib = page.stat().st_size / 2**20
    print(f"{min(seconds):.1f} CPU-s (limit {MAX_CPU_SECONDS}), {mib:.1f} MiB (limit {MAX_MIB})")
    return int(min(seconds) > MAX_CPU_SECONDS or mib > MAX_MIB)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
