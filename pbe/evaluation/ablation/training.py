"""Training: a row -> its trained model, by the trainer as a process of its own. Imports no torch.

The trainer resumes by the same command, so that a row that was interrupted goes on, and a finished one is left alone.
"""

import codecs
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pbe.training.run_folder import RECORD, begun_states
from pbe.weights.averages import raw_beside
from pbe.weights.model_files import MODEL
from pbe.weights.own_note import read_note
from pipeline.errors import InputError
from pipeline.hints import command_line, short_path

CHUNK = 1 << 16
STOPPED = {-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM}
Train = Callable[[Sequence[str], Path], int]
"""The trainer's arguments, and the log to append to, whose folder is there -> its exit code."""


def trained_steps(out: Path) -> int:
    """Count the steps of the newest checkpoint of a training; 0: there is none."""
    states = begun_states(out)
    return int(states[0].get("step", 0)) if states else 0


def exported_step(out: Path) -> int | None:
    """Return the step of the model that a training has exported; None: there is none."""
    with suppress(InputError):  # damaged: the trainer exports it again
        step = read_note(out / MODEL).get("step")
        return None if step is None else int(step)
    return None


def is_finished(out: Path, *, steps: int) -> bool:
    """Whether a training has its last checkpoint and all models of it."""
    return trained_steps(out) == exported_step(out) == steps and not _lacks_raw(out)


def _lacks_raw(out: Path) -> bool:
    """Whether the trainer was ended between the average that it exports and the raw weights beside it."""
    with suppress(OSError, ValueError, LookupError):  # no record, a damaged one, one of before there was an average
        config = json.loads((out / RECORD).read_bytes())["config"]
        return bool(config["ema"]) and config["export_weights"] == "auto" and raw_beside(out / MODEL) is None
    return False


def trainer_command(arguments: Sequence[str]) -> str:
    """Write the trainer's command as a shell reads it."""
    words = (short_path(word) if word.startswith("/") else word for word in arguments)
    return command_line("python", "-m", "pbe.train", *words)


def train_here(arguments: Sequence[str], log: Path, *, command: Sequence[str] = (), env: Mapping[str, str] = {}) -> int:
    """Run the trainer; what it prints is shown, and appended to a log.

    Args:
        command: what runs it; empty: this interpreter.
        env: variables besides those of this process.

    Returns:
        Its exit code; minus a signal's number where that ended it.

    Raises:
        KeyboardInterrupt: this process was told to stop; the trainer was told, too, and has ended.
        OSError: what it prints can be neither shown nor logged.
    """
    argv = [*(command or (sys.executable, "-m", "pbe.train")), *arguments]
    with log.open("ab") as file, ThreadPoolExecutor(1) as pool:
        # In a group of its own, or Ctrl-C would reach it twice: from the terminal, and from here.
        child = subprocess.Popen(
            argv,
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            env={**os.environ, **env},
        )
        copied = pool.submit(_copy, child, file)
        try:
            code = _wait(child)
        finally:
            child.kill()  # unless it has ended: told to stop twice
        copied.result()
        return code


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a process; an interrupt is handed on, for it to finish its step and save a checkpoint."""
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        child.wait()
        raise


def _copy(child: subprocess.Popen[bytes], log: BinaryIO) -> None:
    """Show what a process prints as it comes; log its lines, of a progress bar only the last state."""
    decoder, rest = codecs.getincrementaldecoder("utf-8")("replace"), b""
    assert child.stdout
    with child.stdout as pipe:  # which is closed, too, when nothing can be written, so that the process does not wait
        while chunk := pipe.read(CHUNK):
            sys.stdout.write(decoder.decode(chunk))
            sys.stdout.flush()
            *lines, rest = (rest + chunk).split(b"\n")
            log.writelines(line.rpartition(b"\r")[2] + b"\n" for line in lines)
            log.flush()
            rest = rest[rest.rfind(b"\r") + 1 :] if rest[-1:] != b"\r" else rest
    if rest:
        log.write(rest + b"\n")


def describe_end(code: int, log: Path) -> str:
    """Say how a training failed."""
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"its training failed ({how}); see {short_path(str(log))}"
