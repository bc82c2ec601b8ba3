import subprocess
import sys

import pytest

# Prints more than a pipe holds, in one of the ways in which a command does, and ends with a code or as --help does.
COMMAND = """
import sys
from pipeline.command import guard
def action():
    for _ in range(2000):
        print("x" * 100)
    {end}
sys.exit(guard(action, go_on="run it again"))
"""


@pytest.mark.processes
@pytest.mark.parametrize("flags", [[], ["-u"]], ids=["at the end", "line by line"])
@pytest.mark.parametrize("end", ["return 0", "sys.exit(0)"])
def test_a_reader_that_goes_early_is_no_fault_of_the_command(flags: list[str], end: str) -> None:
    command = [sys.executable, *flags, "-c", COMMAND.format(end=end)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline().startswith("xxx")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode in (0, 1)
