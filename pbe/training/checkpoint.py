"""Checkpoint: a training between two steps <-> OUT/checkpoints/step-00000020, complete or missing.

Every rank writes into a folder with a temporary name; the files are hashed by all ranks; the first rank renames the
folder, then replaces `latest`. DeepSpeed unpickles its files, so they are opened only after their hashes have been
verified, and only inside the run's own folder.
"""

import io
import json
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from pbe.training.engine import Engine
from pbe.training.moving_average import MovingAverage
from pbe.training.ranks import Ranks
from pbe.training.run_folder import CHECKPOINTS, STATE, STEP, list_checkpoints
from pipeline.errors import InputError
from pipeline.storage.whole_files import sha256_of, sync_file, sync_folder, write_aside
from pipeline.tensors.reading import disk_errors, write_tensors
from schemas.shards import json_bytes

LATEST, HASHES = "latest", "hashes.json"
PARTIAL, UNIVERSAL = "partial-", "universal-"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint.

    Args:
        state: what the trainer keeps besides DeepSpeed's files: step, position, config, counts, world.
    """

    folder: Path
    state: dict[str, Any]

    @property
    def step(self) -> int:
        return int(self.state["step"])


def save_checkpoint(
    out: Path, engine: Engine, average: MovingAverage | None, state: dict[str, Any], ranks: Ranks, *, keep_last: int
) -> None:
    """Write a checkpoint, then remove the oldest; all ranks must take part."""
    root = out / CHECKPOINTS
    name = f"{STEP}{state['step']:08d}"
    partial = root / f"{PARTIAL}{name}"
    # What a kill left behind, and universal forms, which are made anew where they are needed.
    if ranks.first:
        for left in [*root.glob(f"{PARTIAL}*"), *root.glob(f"{UNIVERSAL}*")]:
            shutil.rmtree(left)
        partial.mkdir(parents=True)
    ranks.barrier()
    with disk_errors(partial):
        engine.deepspeed.save_checkpoint(str(root), tag=partial.name, save_latest=False)
    if average:
        average.save(partial, ranks)
    write_tensors(partial / f"rng-{ranks.rank:05d}.safetensors", _random_states(ranks))
    if ranks.first:
        (partial / STATE).write_bytes(json_bytes(state))
    ranks.barrier()
    # A folder with its final name holds nothing but files that are on the disk, and the hashes of all of them.
    hashes = _hash_shared(partial, _files(partial), ranks, sync=True)
    if ranks.first:
        write_aside(partial / HASHES, json_bytes(hashes))
        final = root / name
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        sync_folder(root)
        write_aside(root / LATEST, name.encode())
        # Newer ones can only be damaged, or this training would have gone on from them: they do not count.
        for old in [path for path in list_checkpoints(out) if path.name <= name][keep_last:]:
            shutil.rmtree(old)
    ranks.barrier()


def find_checkpoint(out: Path, ranks: Ranks) -> Checkpoint | None:
    """Find the newest checkpoint whose files are those that were written; all ranks must take part.

    Raises:
        InputError: there are checkpoints, and all are damaged.
    """
    folders = ranks.gather(list_checkpoints(out) if ranks.first else None)[0]
    for folder in folders:
        faults = _faults(folder, ranks)
        if not faults:
            return Checkpoint(folder, json.loads((folder / STATE).read_bytes()))
        if ranks.first:
            print(f"warning: {folder}: {'; '.join(faults)}; trying the one before", file=sys.stderr, flush=True)
    if folders:
        raise InputError(f"{out / CHECKPOINTS}: every checkpoint is damaged; restore one, or give another --out")
    return None


def load_checkpoint(
    found: Checkpoint, engine: Engine, average: MovingAverage | None, ranks: Ranks, *, universal: Path | None
) -> None:
    """Set engine, moving average and generators to a verified checkpoint's; all ranks must take part."""
    folder = universal or found.folder
    with _plain(folder.parent) as root:
        loaded, _ = engine.deepspeed.load_checkpoint(str(root), tag=folder.name, load_lr_scheduler_states=False)
    if loaded is None:
        raise InputError(f"{folder}: DeepSpeed finds no checkpoint there; start anew in another --out")
    engine.take_up(updates=found.state["updates"] if universal else None)
    if average:
        average.load(found.folder)
    if found.state["world"] == ranks.world:
        states = load_file(found.folder / f"rng-{ranks.rank:05d}.safetensors")
        torch.set_rng_state(states["cpu"])
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"])


def make_universal(found: Checkpoint, ranks: Ranks) -> Path:
    """Convert a checkpoint of another world size with DeepSpeed's own tool; all ranks wait."""
    from deepspeed.checkpoint.ds_to_universal import main as convert

    target = found.folder.with_name(UNIVERSAL + found.folder.name)
    if ranks.first:
        shutil.rmtree(target, ignore_errors=True)
        # It prints its arguments and a progress bar for every step.
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), _plain(target.parent) as root:
            convert(
                Namespace(
                    input_folder=str(root / found.folder.name),
                    output_folder=str(root / target.name),
                    num_extract_workers=1,
                    num_merge_workers=1,
                    keep_temp_folder=False,
                    strict=True,
                    inject_missing_state=True,
                )
            )
    ranks.barrier()
    return target


@contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    """Give a way to a folder whose name is no pattern: DeepSpeed looks for its files by globs."""
    if not has_magic(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="pbe-") as scratch:
        link = Path(scratch) / "checkpoints"
        link.symlink_to(folder.absolute())
        yield link


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != HASHES)


def _hash_shared(folder: Path, names: list[str], ranks: Ranks, *, sync: bool = False) -> dict[str, str]:
    """Hash files, every rank its share, and return all of them on all ranks."""
    own = {}
    for name in names[ranks.rank :: ranks.world]:
        if sync:
            sync_file(folder / name)
        own[name] = sha256_of(folder / name)
    return {name: digest for part in ranks.gather(own) for name, digest in part.items()}


def _faults(folder: Path, ranks: Ranks) -> list[str]:
    """Compare a checkpoint's files with their recorded hashes; empty: all are there and unchanged."""
    recorded, faults = _recorded(folder) if ranks.first else ({}, [])
    recorded, faults = ranks.gather((recorded, faults))[0]
    if faults:
        return list(faults)
    found = _hash_shared(folder, sorted(recorded), ranks)
    return [f"{name} is not as it was written" for name in sorted(recorded) if found[name] != recorded[name]]


def _recorded(folder: Path) -> tuple[dict[str, str], list[str]]:
    try:
        recorded: dict[str, str] = json.loads((folder / HASHES).read_bytes())
    except (OSError, ValueError) as error:
        return {}, [f"{HASHES} cannot be read ({error})"]
    entries = {path.name: path for path in folder.iterdir() if path.name != HASHES}
    odd = [name for name, path in entries.items() if path.is_symlink() or not path.is_file()]
    faults = [f"{name} is not a plain file" for name in sorted(odd)]
    faults += [f"{name} is missing" for name in sorted(recorded.keys() - entries.keys())]
    return recorded, faults + [f"{name} does not belong there" for name in sorted(entries.keys() - recorded.keys())]


def _random_states(ranks: Ranks) -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if ranks.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state()
    return states
