"""Demo: runs/demo as another version left it -> without what that version made, so that `make demo` begins anew.

    python -m pbe.demo runs/demo

Only what the demo itself made is removed: a dataset of the sample photos, the training on it, and the comparison.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from pbe.feed.contents import read_contents
from pbe.training.config import PRESETS as TRAININGS
from pbe.training.config import switched
from pbe.training.run_folder import (
    CHECKPOINTS,
    GRIDS,
    METRICS,
    RECORD,
    begun_states,
    list_checkpoints,
    refuse_busy,
    refuse_changes,
)
from pbe.weights.model_files import MODEL, RAW_MODEL
from pipeline.boxes.filters import parse_filters
from pipeline.command import guard
from pipeline.config import PRESETS
from pipeline.encoders.names import placed
from pipeline.errors import InputError
from pipeline.jobs.inputs import check_encoders
from pipeline.jobs.known_encoders import recall_encoders, stamp_encoders
from pipeline.jobs.preparation import OUTPUTS, list_finished
from pipeline.jobs.run import hold_output
from pipeline.photos.sample_photos import FOLDER
from pipeline.shards.manifest import read_config, read_manifest, recipe_differences
from pipeline.shards.recipe import Json, make_recipe
from pipeline.storage.folder import Folder
from schemas.scores import BENCH, EVALUATION, PICTURES, REPORT, SCORES_TABLE, SUMMARY, TABLE_MD, TABLE_TEX
from schemas.shards import SHARDS_TABLE
from schemas.validation import VALIDATION_FOLDER

PRESET = "tiny"
UNET = "diffusion_pytorch_model.safetensors"
# The newest state goes last: a demo that is killed meanwhile sees at its next start what it has to do.
TRAINING_OUTPUTS = (
    *(MODEL, RAW_MODEL, "example", GRIDS, VALIDATION_FOLDER, "tensorboard", "loss.png"),
    *(METRICS, SHARDS_TABLE, CHECKPOINTS, RECORD),
)

REPORT_OUTPUTS = (
    PICTURES,
    BENCH,
    SCORES_TABLE,
    SUMMARY,
    REPORT,
    TABLE_MD,
    TABLE_TEX,
    "parts",
    "bench",
    "run",
    EVALUATION,
)


def main(arguments: list[str]) -> int:
    """Look at the demo's folder; return the exit code."""
    return guard(lambda: begin_anew(Path(arguments[0]).absolute()), go_on="run `make demo` again")


def begin_anew(place: Path) -> int:
    """Remove a dataset and a training that this version cannot go on with.

    Raises:
        InputError: they are in use, or are not the demo's own.
    """
    dataset, training = place / "dataset", place / "train"
    _remove_report(Folder(str(place / "report")))
    out = Folder(str(dataset))
    if other := _other_dataset(out):
        _refuse_foreign(dataset, _is_of_sample_photos(out))
        print(f"{dataset}: made by another version ({'; '.join(other)}): the demo begins anew", flush=True)
        with hold_output(out.url):
            out.refuse_outside(*OUTPUTS)
            _remove_training(training, dataset)
            for name in OUTPUTS:
                out.remove(name)
    elif other := _other_training(training, out):
        print(f"{training}: {'; '.join(other)}; the demo trains anew", flush=True)
        _remove_training(training, dataset)
    return 0


def _other_dataset(out: Folder) -> list[str]:
    """Say what keeps the shard job from going on with a dataset, as far as no encoder must be loaded for it.

    Raises:
        InputError: this version's encoders are not there.
    """
    if not list_finished(out):
        return []
    config = PRESETS[PRESET]
    filters = [rule.spec for rule in parse_filters(config.filters)]
    recipe = make_recipe(config, device="", filters=filters, vae={}, clip={}, class_names={})
    for name in ("device", "vae", "clip", "class_names"):
        del recipe[name]
    if other := recipe_differences(out, recipe):
        return other
    check_encoders(config)
    return [] if recall_encoders(out, stamp_encoders(config)) else ["the encoders are other files now"]


def _other_training(training: Path, out: Folder) -> list[str]:
    """Say what keeps the trainer from going on with a training."""
    states = begun_states(training)
    if not states:
        return []
    config, position = switched(TRAININGS[PRESET]), states[0].get("position", {})
    try:
        refuse_changes(config, states[0].get("config", {}))
    except InputError:
        return ["begun by a version whose preset is another one"]
    if _time(Path(placed(config.init_from)) / "unet" / UNET) > _time(training / RECORD):
        return ["begun from the model that was shipped before"]
    with suppress(InputError):  # a dataset that is not finished yet; it is made before it is trained on
        contents = read_contents(out, read_manifest(out), draws=int(position.get("draws", 0)))
        if not contents.has_digest(position.get("dataset")):
            return ["begun with other shards"]
    return []


def _time(file: Path) -> float:
    """When a file was written; 0: there is none."""
    return file.stat().st_mtime if file.exists() else 0.0


def _remove_training(training: Path, dataset: Path) -> None:
    """Remove what the trainer has written.

    Raises:
        InputError: one is at work there, or trains on another dataset.
    """
    if not list_checkpoints(training) and not (training / RECORD).exists():
        return
    refuse_busy(training)
    config = _read_json(training / RECORD).get("config", {})
    _refuse_foreign(training, config.get("data") == str(dataset))
    for name in TRAINING_OUTPUTS:
        Folder(str(training)).remove(name)


def _remove_report(out: Folder) -> None:
    """Remove the last demo's comparison: it takes seconds, and its cases or models may be others now."""
    if out.read_if_there(EVALUATION) is not None:
        for name in REPORT_OUTPUTS:
            out.remove(name)


def _refuse_foreign(folder: Path, own: bool) -> None:
    if not own or folder.is_symlink():
        raise InputError(
            f"{folder}: is not what the demo made there; move it to another place and run `make demo` again"
        )


def _is_of_sample_photos(out: Folder) -> bool:
    boxes = read_config(out).get("boxes")
    return isinstance(boxes, list) and len(boxes) == 1 and Path(str(boxes[0])).parent == Path(out.path(FOLDER))


def _read_json(path: Path) -> Json:
    with suppress(OSError, ValueError):
        found: Any = json.loads(path.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
