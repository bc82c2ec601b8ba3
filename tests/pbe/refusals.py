"""Runs many refused command lines in one fresh process: what each said, and whether torch was imported by then."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pipeline.command import EXIT_USAGE

HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "deepspeed",
    "ray",
    "albumentations",
    "webdataset",
    "matplotlib",
    "gradio",
    "fiftyone",
)
MOST_STARTS = 9.0
"""CPU time of a refusal, in that of starting Python and importing NumPy and Arrow, as every verb does; the first one's
includes all other imports. Both are of one process, so that no machine is too slow."""

RUN = """
import contextlib, importlib, io, json, sys, time
import numpy, pyarrow
heavy, lines = json.load(sys.stdin)
start = last = time.process_time()
for verb, arguments in lines:
    said, main = io.StringIO(), importlib.import_module(verb).main
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code
    now = time.process_time()
    imported = [name for name in heavy if name in sys.modules]
    print(json.dumps([code, said.getvalue(), (now - last) / start, imported]), flush=True)
    last = now
"""


@dataclass(frozen=True)
class Refusal:
    """How a command line ended."""

    code: int
    said: str
    starts: float
    """CPU time; see MOST_STARTS."""
    heavy: list[str]
    """Packages of HEAVY that were imported by then."""


def refuse_all(verb: str, command_lines: dict[str, list[str]], *, folder: Path) -> dict[str, Refusal]:
    """Run a verb's command lines one after the other, by name, in a process that begins in that folder."""
    lines = [(verb, arguments) for arguments in command_lines.values()]
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps([HEAVY, lines]), cwd=folder, capture_output=True, text=True
    )
    results = [Refusal(*json.loads(line)) for line in done.stdout.splitlines()]
    assert len(results) == len(lines), done.stderr
    return dict(zip(command_lines, results, strict=True))


def files_of(folder: Path) -> list[Path]:
    """All paths below a folder."""
    return sorted(folder.rglob("*"))


def assert_refused_at_once(refusal: Refusal, expected: list[str]) -> None:
    """Check that a mistake was refused with all that it should say, and before anything heavy."""
    assert refusal.code == EXIT_USAGE
    for part in expected:
        assert part in refusal.said
    assert "Traceback" not in refusal.said
    assert refusal.heavy == [] and refusal.starts <= MOST_STARTS
