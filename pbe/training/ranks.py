"""Ranks: the launcher's environment -> this process's place among the others, and how they exchange values.

Started by `deepspeed`, `torchrun` or plain python, which makes one rank alone.
"""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from tqdm import tqdm

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process's place."""

    rank: int
    world: int
    local_rank: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this rank speaks and writes for all."""
        return self.rank == 0

    def say(self, line: str) -> None:
        """Print on the first rank, above any progress bar."""
        if self.first:
            tqdm.write(line)
            sys.stdout.flush()

    def barrier(self) -> None:
        """Wait for all ranks."""
        dist.barrier()

    def gather_rows(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Join all ranks' rows, in the order of the ranks: [n, k] each -> [world * n, k]."""
        if self.world == 1:
            return rows
        own = torch.from_numpy(rows).to(self.device)
        parts = [torch.empty_like(own) for _ in range(self.world)]
        dist.all_gather(parts, own)
        return torch.cat(parts).cpu().numpy()

    def gather(self, value: Any) -> list[Any]:
        """Return every rank's value on all of them, in the order of the ranks."""
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def gather_all(self, values: list[T]) -> list[T]:
        """Join every rank's list on all of them, in the order of the ranks."""
        return [value for part in self.gather(values) for value in part]

    def sum(self, number: float) -> float:
        """Add up all ranks' numbers."""
        total = torch.tensor([number], dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total)


def name_accelerator() -> str:
    """Tell DeepSpeed, before it is imported, what to run on: else it looks for itself, and warns where it finds no GPU.

    Returns:
        cpu, cuda, or what the user has set.
    """
    return os.environ.setdefault("DS_ACCELERATOR", "cuda" if torch.cuda.is_available() else "cpu")


def find_place() -> Ranks:
    """Read this process's place from what its launcher has set; plain python becomes a launcher of one."""
    if "WORLD_SIZE" not in os.environ:
        own = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
        os.environ.update(own, MASTER_PORT=str(_free_port()))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    cpu = name_accelerator() == "cpu" or not torch.cuda.is_available()
    device = torch.device("cpu") if cpu else torch.device("cuda", local_rank)
    return Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), local_rank, device)


@contextmanager
def joined(ranks: Ranks, *, timeout_seconds: float) -> Iterator[None]:
    """Join the other ranks, by nccl on GPUs and gloo on CPUs, unless they have joined already; leave at the end."""
    if dist.is_initialized():
        yield
        return
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # On CPUs DeepSpeed would compile shared-memory collectives for a minute first.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    if ranks.device.type == "cuda":
        torch.cuda.set_device(ranks.device)
    backend = "nccl" if ranks.device.type == "cuda" else "gloo"
    timeout = timedelta(seconds=timeout_seconds)
    deepspeed.init_distributed(backend, auto_mpi_discovery=False, timeout=timeout, verbose=False)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
