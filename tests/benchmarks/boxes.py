"""Boxes: a generated box table of official columns -> filtered, planned units, against streaming its columns alone.

    python tests/benchmarks/boxes.py [ROWS ...]        (default 1000000 4000000 16000000)

Prints, for each size, the seconds of both in processes of their own, their ratio, and the peak memory of the plan.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from pipeline.boxes.filters import parse_filters
from pipeline.planning.plan import make_plan
from pipeline.planning.row_counts import PlanInputs
from pipeline.storage.folder import Folder
from schemas.boxes import BOXES

SIZES = (1_000_000, 4_000_000, 16_000_000)
ROWS_A_PHOTO = 16 / 1.9
BLOCK_ROWS = 500_000
ROUNDS = 3


def generate(path: Path, rows: int) -> None:
    """Write a box table of 21 columns, its rows grouped by photo, as the official ones are."""
    rng = np.random.default_rng(0)
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        for start in range(0, rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, rows - start)
            photo = ((start + np.arange(count)) / ROWS_A_PHOTO).astype(np.uint64)
            ids = np.char.mod("%016x", photo * np.uint64(0x9E3779B97F4A7C15))
            low, size = rng.random((2, count)) * 0.6, rng.random((2, count)) * 0.4
            sides = {"XMin": low[0], "XMax": low[0] + size[0], "YMin": low[1], "YMax": low[1] + size[1]}
            flags = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
            table = pa.table(
                {
                    "ImageID": ids,
                    "Source": pa.array(["xclick"] * count),
                    "LabelName": np.char.add("/m/0", rng.integers(0, 600, count).astype(str)),
                    "Confidence": pa.array(np.ones(count, np.int8)),
                    **{name: np.round(values, 6) for name, values in sides.items()},
                    **{name: (rng.random(count) < 0.1).astype(np.int8) for name in flags},
                    **{f"XClick{i}X": np.round(rng.random(count), 6) for i in range(1, 5)},
                    **{f"XClick{i}Y": np.round(rng.random(count), 6) for i in range(1, 5)},
                }
            )
            options = pa.csv.WriteOptions(include_header=start == 0, quoting_style="none")
            pa.csv.write_csv(table, file, options)


def stream_alone(path: Path) -> None:
    columns = {field.name: field.type for field in BOXES}
    options = pa.csv.ConvertOptions(include_columns=list(columns), column_types=columns)
    for _ in pa.csv.open_csv(path, convert_options=options):
        pass


def plan(path: Path) -> None:
    inputs = PlanInputs(
        tables=(str(path),),
        image_info=(),
        rules=tuple(parse_filters(("area",))),
        seed=0,
        split_shares=(0.98, 0.01, 0.01),
        photos_per_unit=1000,
        limit=0,
        anonymous=False,
    )
    with tempfile.TemporaryDirectory(dir=path.parent) as out:
        made = make_plan(inputs, places=lambda forms: [], out=Folder(out))
    print(f"{made.photos_planned:,} photos in {made.units:,} units", file=sys.stderr)


def measure(step: str, path: Path) -> tuple[float, float]:
    """Run one step in a process of its own: seconds without start-up, and peak memory in GiB."""
    command = [sys.executable, __file__, step, str(path)]
    seconds, kibibytes = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return float(seconds), float(kibibytes) / 2**20


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] in ("stream", "plan"):
        began = time.perf_counter()
        (stream_alone if sys.argv[1] == "stream" else plan)(Path(sys.argv[2]))
        print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory() as scratch:
        for rows in sizes:
            path = Path(scratch) / "boxes.csv"
            generate(path, rows)
            runs = [(measure("stream", path), measure("plan", path)) for _ in range(ROUNDS)]
            streamed = sorted(stream[0] for stream, _ in runs)[ROUNDS // 2]
            planned = sorted(planned[0] for _, planned in runs)[ROUNDS // 2]
            peak = max(planned[1] for _, planned in runs)
            print(
                f"{rows:>12,} rows ({path.stat().st_size / 1e9:.2f} GB): columns alone {streamed:.1f} s, filtered and "
                f"planned {planned:.1f} s = {planned / streamed:.2f} x (limit 3), peak {peak:.2f} GiB (limit 2.5)",
                flush=True,
            )


if __name__ == "__main__":
    main()
