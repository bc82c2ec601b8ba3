"""Fuzz: mutated inputs of a kind -> what is made of each, or a named reason.

    python -m tests.benchmarks.fuzz photos|masks|tables|models [--inputs 10000] [--seed 0] [--folder FOLDER]

Exits 1 where anything but a result or a reason comes out, an input takes more than 10 s, or memory passes the bound;
the input is kept.
"""

import argparse
import importlib
import sys
import warnings
from pathlib import Path

import cv2
import torch

from tests.benchmarks.fuzz.running import Run, Subject

KINDS = ("photos", "masks", "tables", "models")  # each is a module, imported alone: what it needs of memory is measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="files to mutate; default: those that packages and shared/ hold")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    run = Run(f"{arguments.kind}-{arguments.seed}")
    make = importlib.import_module(f"tests.benchmarks.fuzz.{arguments.kind}").subjects
    subjects: list[Subject] = make(arguments.inputs, arguments.seed, arguments.folder)
    print(f"the input being tried is {run.place}", file=sys.stderr)
    for subject in subjects:
        run.try_all(subject)
    run.report()


if __name__ == "__main__":
    main()
