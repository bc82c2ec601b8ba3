"""Commands: a user's mistake or a fault of storage -> one message and an exit code."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import tyro

import pipeline
from pipeline.errors import InputError, LockLostError
from pipeline.storage.redaction import redact
from pipeline.storage.retries import StorageError, is_full
from pipeline.storage.urls import is_local

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143
C = TypeVar("C")
GO_ON = "finished units are kept: run the same command again to go on"


def run_command(command: Callable[[list[str]], int], *, go_on: str = GO_ON) -> int:
    """Run a command on the process's arguments, until SIGTERM at the latest; see `guard`."""
    stop_on_sigterm()
    return guard(lambda: command(sys.argv[1:]), go_on=go_on)


def parse_preset(
    config: type[C],
    presets: Mapping[str, C],
    arguments: list[str],
    *,
    prog: str,
    adapt: Callable[[C, list[str]], C] = lambda default, flags: default,
    prints: bool = True,
) -> tuple[str, C]:
    """Read `[PRESET] [--flags]`: the preset's name, and its config as the flags change it.

    Args:
        presets: by name; the first is taken where none is named.
        adapt: changes the preset by what the flags are before they are read.
        prints: whether this process shows --help and mistakes in flags; of several ranks only one should.

    Raises:
        InputError: the preset is unknown, or the config refuses a value.
    """
    preset, flags = next(iter(presets)), arguments
    if arguments and not arguments[0].startswith("-"):
        preset, flags = arguments[0], arguments[1:]
    if preset not in presets:
        raise InputError(f"preset {preset!r}: give one of {', '.join(presets)}, then --flags")
    parsed = tyro.cli(
        config,
        args=flags,
        default=adapt(presets[preset], flags),
        prog=f"{prog} [{'|'.join(presets)}]",
        description=f"{config.__doc__} Preset: {preset}. Run the same command again to go on.",
        console_outputs=prints,
    )
    return preset, parsed


def is_given(flag: str, arguments: list[str]) -> bool:
    """Whether a command line has a flag, as `--flag value` or `--flag=value`."""
    return any(word == flag or word.startswith(f"{flag}=") for word in arguments)


def guard(action: Callable[[], int], *, go_on: str) -> int:
    """Return a command's exit code; report mistakes and storage's faults without a traceback.

    Args:
        go_on: what is kept of a command that was stopped, and what to do; added to the message.
    """
    try:
        return _guard(action, go_on=go_on)
    finally:
        _let_go_of_closed_output()


def _guard(action: Callable[[], int], *, go_on: str) -> int:
    try:
        return action()
    except InputError as error:
        _report(f"error: {redact(str(error))}")
        return EXIT_USAGE
    except LockLostError as error:
        _report(f"stopped: {error}; {go_on}")
        return EXIT_FAILED
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _let_go_of_closed_output():
            return EXIT_FAILED
        cause = type(error).__name__
        if is_full(error) or isinstance(error, StorageError):
            cause = f"a disk is full ({describe_room(*_place(error))})" if is_full(error) else "storage went on failing"
        _report(f"stopped: {cause}: {redact(str(error))}; fix that; {go_on}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        terminated = _sigterm_came.is_set()
        _report(f"\n{'terminated' if terminated else 'interrupted'}; {go_on}")
        return EXIT_TERMINATED if terminated else EXIT_INTERRUPTED


def _let_go_of_closed_output() -> bool:
    """Whether whoever read what is printed has gone, as `head` does; the rest is then printed nowhere."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):  # text in memory, or closed
        return False
    poll = select.poll()
    poll.register(output, select.POLLOUT)
    closed = any(event & select.POLLERR for _, event in poll.poll(0))
    if closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return closed


def _report(line: str) -> None:
    """Write a line to stderr by one call, so that those of several processes do not mix."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _place(error: OSError) -> list[str]:
    """The folder of the file that an error names."""
    return [str(Path(str(error.filename)).parent)] if error.filename else []


_sigterm_came = threading.Event()  # Ray turns whatever a handler raises inside its calls into KeyboardInterrupt


def stop_on_sigterm() -> None:
    """End in order on SIGTERM; call it again after Ray has started, which sets a handler that aborts."""

    def stop(number: int, frame: Any) -> None:
        _sigterm_came.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def describe_code() -> str:
    """Describe which copy of the code runs, and its commit."""
    place = Path(pipeline.__file__).parent.parent
    git = ["git", "-C", str(place), "rev-parse", "--short", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "no commit known"
    return f"code: {place} ({commit})"


def describe_room(*paths: str) -> str:
    """Describe how much room is left where the job writes: at local paths, and where temporary files go."""
    places = [Path(path) for path in (*paths, tempfile.gettempdir()) if is_local(path) and Path(path).exists()]
    return ", ".join(f"{place}: {shutil.disk_usage(place).free / 2**20:,.0f} MiB left" for place in places)
