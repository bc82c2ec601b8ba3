"""Small cases, opened."""

from typing import Any

import numpy as np

from pbe.evaluation.bench.cases import OpenedCase


def opened_case(name: str = "a", *, height: int = 40, width: int = 56, seed: int = 0, **fields: Any) -> OpenedCase:
    """A case with random pictures and a rectangular mask; `fields` replace what it holds."""
    rng = np.random.default_rng([seed, *name.encode()])
    source, exemplar = (rng.integers(0, 256, (*size, 3), np.uint8) for size in ((height, width), (30, 20)))
    mask = np.zeros((height, width), bool)
    mask[10:24, 16:36] = True
    values: dict[str, Any] = {
        "name": name,
        "source": source,
        "mask": mask,
        "exemplar": exemplar,
        "exemplar_mask": None,
        "ground_truth": None,
        "label": "dog",
        "seed": seed,
        "guidance": 5.0,
    }
    return OpenedCase(**{**values, **fields})
