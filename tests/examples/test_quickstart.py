"""The tutorial: what is committed is one run from top to bottom, and a run does what its text promises."""

import base64
import io
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from examples.execute import execute
from pbe.training.run_folder import METRICS, read_rows

ROOT = Path(__file__).parent.parent.parent
TUTORIAL = ROOT / "examples" / "quickstart.ipynb"
MOST_BYTES = 1_500_000
WIDEST = 1000  # px: photos of others are committed as small edited derivatives alone
LITTER = re.compile(r"/(tmp|home|root|work|Users)/|\d%\||\d\d<\d\d|warning|Traceback|\r|\x1b", re.I)


def test_the_committed_outputs_are_those_of_one_run_from_top_to_bottom() -> None:
    cells = _code(json.loads(TUTORIAL.read_text()))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert TUTORIAL.stat().st_size <= MOST_BYTES
    _refuse_litter(cells)


def test_the_committed_pictures_are_small() -> None:
    outputs = [output for cell in _code(json.loads(TUTORIAL.read_text())) for output in cell["outputs"]]
    pictures = [output["data"]["image/jpeg"] for output in outputs if "image/jpeg" in output.get("data", {})]
    assert len(pictures) > 4 and not [output for output in outputs if "image/png" in output.get("data", {})]
    for picture in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(picture))).width <= WIDEST


@pytest.mark.slow
@pytest.mark.processes
def test_the_tutorial_makes_a_dataset_a_model_edits_and_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat

    monkeypatch.delenv("DS_ACCELERATOR", raising=False)  # which tests set, and users do not
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for folder in ("schemas", "pipeline", "pbe", "ray_jobs", "dashboards", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))

    book = nbformat.read(TUTORIAL, as_version=4)
    committed = [[output["output_type"] for output in cell["outputs"]] for cell in _code(book)]
    cells = _code(execute(book, tmp_path / "examples", root=tmp_path))
    _refuse_litter(cells)
    assert [[output["output_type"] for output in cell["outputs"]] for cell in cells] == committed

    text = "".join(output.get("text", "") for cell in cells for output in cell["outputs"])
    made = tmp_path / "runs" / "quickstart"
    assert "48 samples" in text and "ok: 8 of 8 shards re-hashed, all sums hold: runs/quickstart/dataset" in text
    losses = [row["loss"] for row in read_rows(made / "tuned" / METRICS)]
    assert len(losses) == 40 and all(map(math.isfinite, losses))
    edits = sorted((made / "edits").glob("*.png"))
    assert len(edits) == 9
    for edit in edits:
        name = edit.stem.split("-")[0]
        hole = np.array(Image.open(made / f"pairs/masks/{name}.png")) > 0
        changed = (_pixels(edit) != _pixels(made / f"pairs/images/{name}.png")).any(axis=-1)
        assert changed[hole].mean() > 0.5 and not changed[~hole].any()
    assert sorted(page.stem for page in made.glob("*.html")) == ["dataset", "edits", "tuned"]


def _code(book: Any) -> list[Any]:
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def _refuse_litter(cells: list[Any]) -> None:
    for output in (output for cell in cells for output in cell["outputs"]):
        assert output["output_type"] != "error" and output.get("name") != "stderr", output
        text = "".join(output.get("text", ""))
        assert not (found := LITTER.search(text)), f"{found}: {text}"


def _pixels(path: Path) -> Any:
    return np.array(Image.open(path).convert("RGB"))
