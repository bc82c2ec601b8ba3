"""Commands: a command line -> a config, and a user's mistake -> one message and an exit code."""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import tyro

import pipeline
from pipeline.config import PRESETS, ShardConfig
from pipeline.errors import InputError, LockLostError
from pipeline.redaction import redact
from pipeline.storage import StorageError, absolute, is_full, is_local

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 2, 130, 143
GO_ON = "finished units are kept: run the same command again to go on"


def run_command(command: Callable[[list[str]], int]) -> int:
    """Run a command on the process's arguments; report the user's mistakes without a traceback."""
    stop_on_sigterm()
    try:
        return command(sys.argv[1:])
    except InputError as error:
        print(f"error: {redact(str(error))}", file=sys.stderr)
        return EXIT_USAGE
    except LockLostError as error:
        print(f"stopped: {error}; {GO_ON}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        if not is_full(error) and not isinstance(error, StorageError):
            raise
        cause = f"a disk is full ({describe_room()})" if is_full(error) else "storage went on failing"
        print(f"stopped: {cause}: {redact(str(error))}; mend that; {GO_ON}", file=sys.stderr)
        return EXIT_FAILED
    except Terminated:
        print(f"\nterminated; {GO_ON}", file=sys.stderr)
        return EXIT_TERMINATED
    except KeyboardInterrupt:
        print(f"\ninterrupted; {GO_ON}", file=sys.stderr)
        return EXIT_INTERRUPTED


class Terminated(KeyboardInterrupt):
    """SIGTERM came, as it does before a spot machine is taken away."""


def stop_on_sigterm() -> None:
    """End orderly on SIGTERM; to be called again after Ray has started, which sets a handler that aborts."""

    def stop(number: int, frame: Any) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)


def parse_shard_config(arguments: list[str]) -> ShardConfig:
    """Read `[PRESET] [--flags]`; the output becomes absolute.

    Raises:
        InputError: the preset is unknown, a value is not allowed, or the output would be lost with the job's folder.
    """
    preset, flags = "tiny", arguments
    if arguments and not arguments[0].startswith("-"):
        preset, flags = arguments[0], arguments[1:]
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r}: give one of {', '.join(PRESETS)}, then --flags")
    default = PRESETS[preset]
    if any(flag == "--boxes" or flag.startswith("--boxes=") for flag in flags):
        default = replace(default, images=(), image_info=(), classes="", anonymous=False)
    config = tyro.cli(
        ShardConfig,
        args=flags,
        default=default,
        prog=f"shard_openimages.py [{'|'.join(PRESETS)}]",
        description=f"{ShardConfig.__doc__} Preset: {preset}. Run the same command again to go on.",
    )
    out = config.out or f"runs/{preset}"
    if is_local(out) and not Path(out).is_absolute() and _cwd_is_shipped():
        raise InputError(
            f"--out {out}: is relative, and Ray discards the folder that this job runs in; "
            "give an absolute path or a URL that every node can see"
        )
    return replace(config, out=absolute(out))


def describe_code() -> str:
    """Say which copy of the code runs, and its commit."""
    place = Path(pipeline.__file__).parent.parent
    git = ["git", "-C", str(place), "rev-parse", "--short", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "no commit known"
    return f"code: {place} ({commit})"


def describe_room(*paths: str) -> str:
    """Say how much room is left where the job writes: at local paths, and where temporary files go."""
    places = [Path(path) for path in (*paths, tempfile.gettempdir()) if is_local(path) and Path(path).exists()]
    return ", ".join(f"{place}: {shutil.disk_usage(place).free / 2**20:,.0f} MiB left" for place in places)


def _cwd_is_shipped() -> bool:
    """Tell whether Ray unpacked the working directory for this job alone."""
    return "working_dir_files" in Path.cwd().parts
