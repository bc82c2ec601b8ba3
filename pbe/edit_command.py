"""Edit command: a command line -> edited pictures on disk, and a user's mistake -> one message and an exit code."""

import tyro

from pbe.editing.cases import read_cases, single_case
from pbe.editing.config import EditConfig
from pbe.editing.outputs import find_outputs, refuse_overlaps
from pipeline.command import guard


def main(arguments: list[str]) -> int:
    """Edit as the command line says; returns the exit code."""
    return guard(lambda: _edit(arguments), go_on="finished pictures are kept: run the same command again to go on")


def _edit(arguments: list[str]) -> int:
    config = tyro.cli(EditConfig, args=arguments, prog="python -m pbe.edit")
    outputs = find_outputs(config)
    cases = read_cases(config) if config.cases else [single_case(config, name=outputs.stem)]
    refuse_overlaps(outputs, cases)
    from pbe.editing.run import edit_cases  # torch takes seconds, which --help and refusals need not wait for

    return edit_cases(config, cases, outputs)
