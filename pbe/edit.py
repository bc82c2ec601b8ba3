#!/usr/bin/env python3
"""Edit: source, mask and exemplar -> pictures whose hole shows the exemplar's object.

python -m pbe.edit --model MODEL --source S --mask M --exemplar E --out O [--flags]

from pbe.edit import edit, load_editor
pictures = edit(load_editor("runs/demo/train/model"), "photo.jpg", "mask.png", "exemplar.jpg", n=4)
"""

import importlib
import sys
import time
from typing import TYPE_CHECKING, Any

import tyro

from pbe.editing.case_checks import find_faults, refuse_faults
from pbe.editing.case_table import read_cases, single_case
from pbe.editing.checks import check_model
from pbe.editing.config import EditConfig
from pbe.editing.inputs import read_case
from pbe.editing.outputs import find_outputs, find_overlaps
from pbe.editing.records import refuse_changes
from pipeline.command import guard

if TYPE_CHECKING:
    from pbe.editing.editor import Editor, edit, load_editor

__all__ = ["Editor", "edit", "load_editor", "main"]


def main(arguments: list[str]) -> int:
    """Edit as the command line says; return the exit code."""
    return guard(lambda: _edit(arguments), go_on="finished pictures are kept: run the same command again to go on")


def _edit(arguments: list[str]) -> int:
    began = time.monotonic()
    config = tyro.cli(EditConfig, args=arguments, prog="python -m pbe.edit")
    outputs = find_outputs(config)
    cases, faults = read_cases(config) if config.cases else ([single_case(config, name=outputs.stem)], [])
    faults += find_overlaps(outputs, cases)
    factor = check_model(config)
    todo = refuse_changes(outputs, cases, config) if config.cases else cases
    faults += find_faults(todo, repaint=config.repaint, compat_factor=factor if config.compat else None)
    refuse_faults(faults, place=f"--cases {config.cases}" if config.cases else "--source, --mask, --exemplar")
    pictures = {} if config.cases else {case: read_case(case, repaint=config.repaint) for case in cases}
    for given in pictures.values():
        outputs.refuse_large(given.mask)
    outputs.try_writing()
    print("importing torch and diffusers", flush=True)  # which --help and refusals need not wait for
    from pbe.editing.run import edit_cases

    return edit_cases(config, cases, outputs, pictures=pictures, began=began)


def __getattr__(name: str) -> Any:
    """Import the functions for Python when they are asked for: they bring torch, which takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module("pbe.editing.editor"), name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
