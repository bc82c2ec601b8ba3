"""Documents: rows of a dataset -> FiftyOne's samples in bulk, against `add_samples` of the same rows.

    python -m tests.benchmarks.documents [SAMPLES ...]        (default 20000 100000)

Starts a mongod of its own. Prints, for one sample a row and for groups of four slices, the samples a second, those a
second of our own CPU, the ratio to `add_samples`, and the peak memory of the import, FiftyOne's own included and aside.
Limits, for an idle machine of 2 cores: 1,000 samples/s, groups 500/s, 1 GiB.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dashboards.app.database import QUIET, run_mongod
from dashboards.app.mongo import URI, find_mongod

SIZES = (20_000, 100_000)
SLICES = ("source", "masked", "exemplar", "augmented")
BY_ADD_SAMPLES = 400
LABELS = {
    "metadata": "ImageMetadata",
    "box": "Detections",
    "outline": "Polylines",
    "mask": "Segmentation",
    "latent_mask": "Heatmap",
}
WAYS = ("flat", "grouped")


def rows(count: int, *, grouped: bool) -> Iterator[Any]:
    """Make rows as the dataset view has them: 20 fields, a box, an outline of 80 points, two masks."""
    from dashboards.app.documents import FLAT, Row

    rng = np.random.default_rng(0)
    for number in range(count):
        key = f"{number:016x}-0-0"
        shared = {
            "metadata": {"width": 512, "height": 512, "num_channels": 3, "mime_type": "image/jpeg"},
            **{f"word{place}": f"{place}-{number % 600}" for place in range(8)},
            **{f"share{place}": float(value) for place, value in enumerate(rng.random(8))},
            "draw": number % 4,
            "squashed": number % 9 == 0,
            "augmentation": ["flip", "rotate"],
        }
        source = {
            **shared,
            "filepath": f"/pbe/source/{key}.jpg",
            "box": [{"label": f"word-{number % 600}", "bounding_box": rng.random(4).tolist(), "cover": 0.5}],
            "outline": [{"label": "mask", "points": [rng.random((80, 2)).tolist()], "closed": True, "filled": False}],
            "mask": {"mask_path": f"/pbe/mask/{key}.png"},
            "latent_mask": {"map_path": f"/pbe/latent_mask/{key}.png", "range": [0.0, 1.0]},
        }
        if not grouped:
            yield Row(key, {FLAT: source})
            continue
        others = {name: {**shared, "filepath": f"/pbe/{name}/{key}.jpg"} for name in SLICES[1:]}
        yield Row(key, {"source": source, **others})


def add_samples(dataset: Any, given: Iterator[Any]) -> int:
    """Add rows as FiftyOne's users do."""
    import fiftyone as fo

    def sample(fields: dict[str, Any], **more: Any) -> Any:
        labels = {
            "metadata": fo.ImageMetadata(**fields["metadata"]),
            **({"box": fo.Detections(detections=[fo.Detection(**fields["box"][0])])} if "box" in fields else {}),
            **({"outline": fo.Polylines(polylines=[fo.Polyline(**fields["outline"][0])])} if "box" in fields else {}),
            **({"mask": fo.Segmentation(**fields["mask"])} if "box" in fields else {}),
            **({"latent_mask": fo.Heatmap(**fields["latent_mask"])} if "box" in fields else {}),
        }
        return fo.Sample(**{**fields, **labels, **more})

    samples = []
    for row in given:
        group = fo.Group()
        for name, fields in row.slices.items():
            samples.append(sample(fields, **({"group": group.element(name)} if name else {})))
    return len(dataset.add_samples(samples, dynamic=True, progress=False))


def peak_gib() -> float:
    """Tell the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(way: str, count: int) -> None:
    """Import in this process, then add some of the same rows; print the figures."""
    from dashboards.app.documents import write_samples
    from dashboards.app.named import open_named

    grouped = way == "grouped"
    groups = count // len(SLICES) if grouped else count
    default = SLICES[0] if grouped else None
    write_samples(open_named("warm", default_slice=default), rows(8, grouped=grouped), labels=LABELS)
    before, wall, cpu = peak_gib(), time.perf_counter(), time.process_time()
    written = write_samples(open_named("bulk", default_slice=default), rows(groups, grouped=grouped), labels=LABELS)
    wall, cpu, peak = time.perf_counter() - wall, time.process_time() - cpu, peak_gib()

    began = time.perf_counter()
    few = BY_ADD_SAMPLES // len(SLICES) if grouped else BY_ADD_SAMPLES
    added = add_samples(open_named("added", default_slice=default), rows(few, grouped=grouped))
    ratio = written / wall / (added / (time.perf_counter() - began))
    limit = 500 if grouped else 1000
    print(
        f"{written:>9,} samples, {'groups of four' if grouped else 'one a row'}: {written / wall:,.0f}/s (limit "
        f"{limit:,}), {written / cpu:,.0f} a second of our CPU; {ratio:.0f} x add_samples; peak {peak:.2f} GiB (limit "
        f"1), {peak - before:.2f} of it the import",
        flush=True,
    )


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] in WAYS:
        measure(sys.argv[1], int(sys.argv[2]))
        return
    for count in [int(size) for size in sys.argv[1:]] or SIZES:
        for way in WAYS:
            with tempfile.TemporaryDirectory() as folder, run_mongod(find_mongod(), Path(folder)) as uri:
                command = [sys.executable, "-m", "tests.benchmarks.documents", way, str(count)]
                subprocess.run(command, env={**os.environ, **QUIET, URI: uri}, check=True)


if __name__ == "__main__":
    main()
