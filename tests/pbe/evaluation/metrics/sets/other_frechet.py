"""Others' Fréchet distances: prints what torch-fidelity and clean-fid compute on the sets of feature_sets, as JSON.

    pip install --no-deps --target FOLDER torch-fidelity clean-fid
    PYTHONPATH=.:FOLDER python tests/pbe/evaluation/metrics/sets/other_frechet.py

It runs in a process of its own, because it puts an empty torchvision in place of the one that both import and neither
needs for this.
"""

import importlib.machinery
import json
import sys
import types
import warnings
from typing import Any

import numpy as np

from tests.pbe.evaluation.metrics.sets.feature_sets import PAIRS, features_of


class _Anything(types.ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stub(name: str) -> None:
    module = _Anything(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)


def main() -> None:
    for part in ("", ".transforms", ".transforms.functional", ".models", ".models.inception", ".datasets"):
        stub(f"torchvision{part}")
    warnings.simplefilter("ignore")
    from cleanfid.fid import frechet_distance
    from scipy import linalg
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    plain = linalg.sqrtm
    linalg.sqrtm = lambda matrix, disp=True: (plain(matrix), 0.0) if not disp else plain(matrix)  # gone in SciPy 1.18
    found = {}
    for kind, (first, second) in PAIRS.items():
        sets = [features_of(kind, *numbers).astype(np.float64) for numbers in (first, second)]
        measured = [(rows.mean(axis=0), np.cov(rows, rowvar=False)) for rows in sets]
        theirs = [{"mu": mean, "sigma": covariance} for mean, covariance in measured]
        found[kind] = {
            "torch-fidelity": fid_statistics_to_metric(*theirs, verbose=False)["frechet_inception_distance"],
            "clean-fid": float(frechet_distance(*measured[0], *measured[1])),
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
