"""Opening: a model's folder -> diffusers' own pipeline.

diffusers 0.38 moved its Paint by Example, where its loader no longer finds it: here it does.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from pbe.weights.model_files import is_paint_by_example, model_folder
from pipeline.encoders.libraries import diffusers
from pipeline.encoders.names import placed
from pipeline.errors import InputError

_PLACE = "diffusers.pipelines.paint_by_example"
_MOVED = "diffusers.pipelines.deprecated.paint_by_example"


def load_pipeline(folder: str | Path, **options: Any) -> Any:
    """Open a model's folder, or a training's, in diffusers.

    Args:
        folder: in diffusers' Paint by Example layout, which an export has where the parts fit it.
        options: of diffusers' `from_pretrained`, such as `torch_dtype`.

    Returns:
        diffusers' PaintByExamplePipeline.

    Raises:
        InputError: it is no model, or one that diffusers cannot hold.
    """
    place = Path(placed(str(folder)))
    if not place.is_dir():
        raise InputError(f"{folder}: no such folder; give a model's, or a training's")
    model = model_folder(place)
    if not is_paint_by_example(model):
        raise InputError(
            f"{model}: is not in diffusers' layout of Paint by Example, which it opens alone; edit with pbe.edit; "
            "`python -m pbe.convert --layout diffusers` says what keeps it from being one"
        )
    return paint_by_example_module().PaintByExamplePipeline.from_pretrained(str(model), **options)


def paint_by_example_module() -> ModuleType:
    """Return diffusers' Paint by Example, with the module at the place that folders name."""
    if importlib.util.find_spec(_MOVED) is None:
        return importlib.import_module(_PLACE)
    module = importlib.import_module(_MOVED)
    sys.modules[_PLACE] = module
    diffusers.pipelines.paint_by_example = module
    return module
