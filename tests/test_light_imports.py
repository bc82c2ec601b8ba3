"""What only reads datasets or parses flags starts at once: it imports no networks, no augmentation, no Ray."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.pbe.refusals import HEAVY
from tests.synthetic import write_synthetic

pytestmark = pytest.mark.processes

READING = (
    "pipeline.storage.folder",
    "pipeline.boxes.tables",
    "pipeline.planning.plan",
    "pipeline.shards.manifest",
    "pipeline.verification.units",
    "pipeline.verification.dataset",
    "pbe.feed.dataset",
    "dashboards.training_run",
    "dashboards.edits",
    "dashboards.comparison",
)
FLAGS = (
    "pipeline.config",
    "pipeline.pairing.config",
    "pbe.training.config",
    "pbe.editing.config",
    "pbe.weights.model_files",
    "pbe.weights.own_note",
    "pipeline.encoders.facts",
    "pipeline.encoders.names",
    "pipeline.fit_encoders",
    "ray_jobs.command",
    "pbe.train",
    "pbe.edit",
    "pbe.convert",
    "pbe.evaluate",
    "pbe.evaluation.running.run",
    "pbe.leaks",
    "pbe.app",
    "pbe.painting.config",
    "ray_jobs.evaluating",
    "dashboards.browse",
)

INDEX_STARTS = 6.0  # CPU time in that of starting Python and importing NumPy and Arrow

READ_AN_INDEX = """
import sys, time
import numpy, pyarrow
start = time.process_time()
from pbe.feed.dataset import open_dataset
dataset = open_dataset(sys.argv[1], split="train")
assert len(dataset.index(dataset.shards[0][0]).keys) == 50
print(time.process_time() / start, *sys.modules)
"""


def _output(code: str, *arguments: str) -> str:
    """Run code in a fresh interpreter; what it printed."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("modules", [READING, FLAGS], ids=["reading datasets", "parsing flags"])
def test_neither_reading_datasets_nor_parsing_flags_imports_networks_or_ray(modules: tuple[str, ...]) -> None:
    loaded = _output(f"import sys, {', '.join(modules)}; print(*sys.modules)").split()
    assert set(modules) <= set(loaded)
    assert not set(HEAVY) & set(loaded)


def test_reading_an_index_costs_little_from_the_start_of_the_process_on(tmp_path: Path) -> None:
    write_synthetic(tmp_path, [[50]])
    starts, *loaded = _output(READ_AN_INDEX, str(tmp_path)).split()
    assert not set(HEAVY) & set(loaded) and float(starts) <= INDEX_STARTS
