"""Run folder: a config and OUT -> what OUT holds already, and whether this training may go on there. Imports no torch.

One training at a time; what it is made from is written to OUT/run.json, its log to OUT/metrics.jsonl.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from pbe.feed.contents import Contents, ShardRow, shard_rows, shard_table
from pbe.training.config import FREE, SWITCHES, TrainConfig, lasting
from pipeline.errors import InputError
from pipeline.hints import command_line
from pipeline.run_log import RUNS, RunLog, logged
from pipeline.storage.file_locks import lock_file
from pipeline.storage.whole_files import write_aside
from schemas.shards import SHARDS_TABLE, json_bytes
from schemas.validation import VALIDATION_FOLDER, validation_step

RECORD, LOCK, METRICS, GRIDS = "run.json", "lock", "metrics.jsonl", "grids"
CHECKPOINTS, STATE, STEP = "checkpoints", "state.json", "step-"
_GRID, _SCORES = (re.compile(rf"{STEP}(\d{{8,}})\.{kind}") for kind in ("png", "json"))
_PACKAGES = ("torch", "deepspeed", "diffusers", "transformers", "numpy", "safetensors")
Row = dict[str, Any]
"""Of the log: one step's numbers by name."""


def lock_run(out: Path) -> TextIO:
    """Hold the run's folder until the process ends, however it ends.

    Raises:
        InputError: another training holds it, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK).open("w")
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error}); give a folder that can") from error
    _lock(out, lock)
    return lock


@contextmanager
def held_run(out: Path) -> Iterator[RunLog]:
    """Hold the run's folder, and log how the run goes in OUT/runs.jsonl.

    Raises:
        InputError: another training holds it, or it cannot be written.
    """
    path = out / RUNS
    with lock_run(out):
        earlier = path.read_bytes() if path.exists() else None
        with logged(earlier, partial(write_aside, path)) as log:
            yield log


def refuse_busy(out: Path) -> None:
    """Refuse a folder in which another training is at work; nothing is made.

    Raises:
        InputError: one holds it.
    """
    if (out / LOCK).exists():
        with (out / LOCK).open("r+") as lock:
            _lock(out, lock)


def _lock(out: Path, lock: TextIO) -> None:
    try:
        lock_file(lock)  # a filesystem without locks lets every training through
    except BlockingIOError as error:
        raise InputError(f"--out {out}: another training is at work here; wait for its end or stop it") from error


def list_checkpoints(out: Path) -> list[Path]:
    """List the folders of checkpoints, the newest first; a damaged one is among them."""
    folders = (out / CHECKPOINTS).glob(f"{STEP}*")
    return sorted((path for path in folders if path.is_dir() and not path.is_symlink()), reverse=True)


def begun_states(out: Path) -> list[dict[str, Any]]:
    """Read what checkpoints say of their training, the newest first, without those that cannot be read."""
    states = []
    for checkpoint in list_checkpoints(out):
        with suppress(OSError, ValueError):  # which is found out when it is verified
            state = json.loads((checkpoint / STATE).read_bytes())
            states += [state] if isinstance(state, dict) else []
    return states


def draws_begun_with(out: Path) -> int:
    """Return how many draws of its dataset a training reads; 0: all, since it has not begun, or before it counted."""
    states = begun_states(out)
    return int(states[0].get("position", {}).get("draws", 0)) if states else 0


def keep_shards(out: Path, contents: Contents, *, anew: bool) -> None:
    """Keep the table of the shards that a training begins with, to name those that differ later.

    Args:
        anew: replace a table that is there.
    """
    if anew or not (out / SHARDS_TABLE).exists():
        write_aside(out / SHARDS_TABLE, shard_table(contents.rows))


def kept_shards(out: Path) -> list[ShardRow] | None:
    """Read the shards that a training began with; None: an earlier version kept none, or the table is damaged."""
    with suppress(OSError, KeyError, pa.ArrowException):
        return shard_rows((out / SHARDS_TABLE).read_bytes())
    return None


def read_rows(path: Path) -> list[Row]:
    """Read a log, without a last line that a kill cut off."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def keep_rows(path: Path, step: int) -> None:
    """Cut a log back to the rows up to a step."""
    rows = [row for row in read_rows(path) if row["step"] <= step]
    write_aside(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def validation_tables(out: Path) -> dict[int, Path]:
    """Find the tables of validation losses, by step, ascending."""
    steps = {validation_step(path.name): path for path in (out / VALIDATION_FOLDER).glob("*")}
    return {step: steps[step] for step in sorted(step for step in steps if step is not None)}


def sample_grids(out: Path) -> dict[int, Path]:
    """Find the pictures of sample grids, by step, ascending."""
    return _grid_files(out, _GRID)


def grid_scores(out: Path) -> dict[int, Path]:
    """Find the scores of sample grids, by step, ascending; trainings of earlier versions have none."""
    return _grid_files(out, _SCORES)


def _grid_files(out: Path, name: re.Pattern[str]) -> dict[int, Path]:
    found = {int(match[1]): path for path in (out / GRIDS).glob("*") if (match := name.fullmatch(path.name))}
    return {step: found[step] for step in sorted(found)}


def grid_path(out: Path, step: int) -> Path:
    """Where the sample grid of a step lies."""
    return out / GRIDS / f"{STEP}{step:08d}.png"


def grid_scores_path(out: Path, step: int) -> Path:
    """Where the scores of a step's sample grid lie."""
    return out / GRIDS / f"{STEP}{step:08d}.json"


def keep_looks(out: Path, step: int) -> None:
    """Remove the sample grids, their scores and the tables of validation losses of later steps."""
    for found in (sample_grids(out), grid_scores(out), validation_tables(out)):
        for path in (path for at, path in found.items() if at > step):
            path.unlink()


def refuse_beginning(config: TrainConfig, *, resumes: bool) -> None:
    """Refuse to begin or to go on where --resume and --export-only want the other.

    Args:
        resumes: whether there is a checkpoint to go on from.

    Raises:
        InputError: naming the flag to give.
    """
    if resumes and config.resume == "never":
        raise InputError(f"--out {config.out}: holds checkpoints; give --resume auto to go on, or another --out")
    if not resumes and config.export_only:
        raise InputError(f"--out {config.out}: holds no checkpoint to export; train first")


def refuse_changes(config: TrainConfig, before: Mapping[str, Any]) -> None:
    """Refuse to go on with another training than the one that was begun.

    Args:
        before: its lasting fields, from a checkpoint; one that is not there had its default before there was a flag.

    Raises:
        InputError: naming the fields that differ, and the flags that make this command that training's.
    """
    now, then = lasting(config), {**lasting(TrainConfig()), **before}
    changed = [name for name, value in now.items() if then.get(name, value) != value]
    if changed:
        said = ", ".join(f"{name} {then[name]} -> {now[name]}" for name in changed)
        lasted = [name for name in sorted(FREE & then.keys()) if then[name] != getattr(config, name)]
        raise InputError(
            f"--out {config.out}: began with another training ({said}); to go on with that one, add "
            f"`{_flags_back([*changed, *lasted], then, naive=config.naive)}`; or give another --out"
        )


def _flags_back(changed: Iterable[str], then: Mapping[str, Any], *, naive: bool) -> str:
    """Write, for a shell, the flags that bring back what a training was begun with, whatever stands before them.

    Args:
        changed: names of the fields that differ.
        then: all lasting fields of that training.
        naive: whether the command sets all of the paper's switches at once.
    """
    names = dict.fromkeys(changed)
    undone = naive and any(name in names for name in SWITCHES)
    names |= dict.fromkeys(SWITCHES) if undone else {}
    # What a switch empties is another's value again only with the switch on, and needs no flag with it off.
    names |= {field: None for switch, field in SWITCHES.items() if field and switch in names}
    emptied = {field for switch, field in SWITCHES.items() if not then[switch]}
    words = ["--no-naive"] if undone else []
    values = {}
    for name in names:
        if type(then[name]) is bool:
            words.append(f"--{'' if then[name] else 'no-'}{name.replace('_', '-')}")
        elif name not in emptied:
            values[name] = then[name]
    return command_line(*words, **values)


def write_record(out: Path, config: TrainConfig, *, world: int, dataset: str, draws: int) -> dict[str, Any]:
    """Write down what the run is made from, and return it."""
    record = {
        "config": asdict(config),
        "commit": find_commit(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "dataset_digest": dataset,
        "draws": draws,
        "world": world,
    }
    write_aside(out / RECORD, json_bytes(record))
    return record


def find_commit() -> str:
    """Return the commit of the running code, and whether it was changed since."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
