"""Edit command: a command line -> edited pictures on disk, and a user's mistake -> one message and an exit code."""

import sys

import tyro

from pbe.edit_cases import read_cases, single_case
from pbe.edit_config import EditConfig
from pbe.edit_outputs import find_outputs, refuse_overlaps
from pipeline.errors import InputError
from pipeline.redaction import redact

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def main(arguments: list[str]) -> int:
    """Edit as the command line says; returns the exit code."""
    try:
        config = tyro.cli(EditConfig, args=arguments, prog="python -m pbe.edit")
        outputs = find_outputs(config)
        cases = read_cases(config) if config.cases else [single_case(config, name=outputs.stem)]
        refuse_overlaps(outputs, cases)
        from pbe.edit_run import edit_cases  # torch takes seconds, which --help and refusals need not wait for

        return edit_cases(config, cases, outputs)
    except InputError as error:
        print(f"error: {redact(str(error))}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        reason = f"{type(error).__name__}: {redact(str(error))}"
        print(f"stopped: {reason}; finished pictures are kept: mend it and run the same command again", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("\ninterrupted; finished pictures are kept: run the same command again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED
