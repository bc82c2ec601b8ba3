"""Hints: what was made -> the command to run next, as a shell reads it."""

import os
import shlex
import shutil
import sys
from pathlib import Path, PurePosixPath

from pipeline.storage.redaction import redact
from pipeline.storage.urls import is_local


def command_line(*words: str, **flags: str | int) -> str:
    """Write a command that a shell reads as it is meant, whatever is in its words; credentials are blanked.

    Args:
        words: of the command, in order; `python` is what runs this process; one that may begin with a dash belongs to a
            flag, or is made by `short_path`.
        flags: by name, with their values: `batch_size=2` becomes `--batch-size 2`.
    """
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        words += (f"{flag}={value}",) if str(value).startswith("-") else (flag, str(value))
    return shlex.join(redact(_python() if word == "python" else word) for word in words)


def _python() -> str:
    """Name the interpreter that runs this process: `python` where its environment is active."""
    active = shutil.which("python")
    own = Path(sys.executable)
    return "python" if active and Path(active).parent == own.parent else short_path(str(own))


def short_path(path: str) -> str:
    """Shorten an absolute path that lies below the working directory; leave others, and URLs, as they are."""
    if not is_local(path):
        return path
    below = os.path.relpath(path)
    return path if below.startswith(("..", "-", "~")) or below == os.curdir else below


def look_line(out: str) -> str:
    """Name the command that looks at what a job has made; it works wherever this package is installed.

    Args:
        out: a dataset, a training, or a folder of edits, by absolute path or URL. The page lies beside a folder, and of
            what lies elsewhere in the working directory.
    """
    folder = short_path(out)
    page = f"{folder if is_local(out) else PurePosixPath(out.rstrip('/')).name or 'page'}.html"
    return f"look at it: {command_line('python', '-m', 'dashboards.browse', folder, sheet=page)}"


def verify_command(out: str) -> str:
    """Write the command that verifies a dataset, given by absolute path or URL."""
    return command_line("python", "-m", "ray_jobs.verify_shards", short_path(out))
