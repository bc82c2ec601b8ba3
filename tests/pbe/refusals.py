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
)

RUN = """
import contextlib, importlib, io, json, sys
heavy, lines = json.load(sys.stdin)
for verb, arguments in lines:
    said, main = io.StringIO(), importlib.import_module(verb).main
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code
    imported = [name for name in heavy if name in sys.modules]
    print(json.dumps([code, said.getvalue(), imported]), flush=True)
"""


@dataclass(frozen=True)
class Refusal:
    """How a command line ended."""

    code: int
    said: str
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
    assert refusal.heavy == []
