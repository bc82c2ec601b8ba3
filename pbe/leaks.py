#!/usr/bin/env python3
"""Leaks: the photos of a training dataset and a bench -> those that are in both.

python -m pbe.leaks DATASET --photos DIR --bench DIR --out OUT [--flags]
"""

import sys

import tyro

from pbe.editing.case_checks import refuse_faults
from pbe.evaluation.bench.opening import open_bench
from pbe.evaluation.overlap.config import LeaksConfig
from pipeline.command import guard


def main(arguments: list[str]) -> int:
    """Search as the command line says; return the exit code, which is 0 also where photos are shared."""
    return guard(lambda: _search(arguments), go_on="finished blocks are kept: run the same command again to go on")


def _search(arguments: list[str]) -> int:
    config = tyro.cli(LeaksConfig, args=arguments, prog="python -m pbe.leaks")
    from pbe.evaluation.overlap.run import find_leaks  # OpenCV and pyarrow, which --help and refusals need not wait for

    return find_leaks(config, list_table=list_table)


def list_table(table: str) -> dict[str, str]:
    """Name the sources of a table of cases, and the ground truths that are other files, with their paths.

    Raises:
        InputError: the table cannot be read, or a row of it is wrong.
    """
    bench = open_bench(table)
    refuse_faults(list(bench.faults), place=f"--bench {table}")
    pictures = {case.name: case.inputs["source"] for case in bench.cases}
    for case in bench.cases:
        truth = case.evaluated.get("ground truth", "")
        if truth and truth != pictures[case.name]:
            pictures[f"{case.name} (ground truth)"] = truth
    return pictures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
