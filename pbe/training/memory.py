"""Memory: parameters, precision, ZeRO stage and ranks -> bytes that one rank's training state takes.

Activations come on top: they depend on batch and resolution, not on ZeRO. A GPU's own count is told beside the formula.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
MASTER_BYTES, MOMENT_BYTES = 4, 8  # fp32 weights; AdamW's two moments
SUM_BYTES = 4  # a gradient's sum over micro-batches at stages 2 and 3


@dataclass(frozen=True)
class Memory:
    """Bytes of one rank."""

    weights: int
    gradients: int
    optimizer: int
    """fp32 master weights, which stage 0 does without, and AdamW's moments."""
    ema: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.ema


def state_memory(*, live: int, dead: int, dtype: str, stage: int, ranks: int, ema: bool) -> Memory:
    """Count the bytes of one rank, to within ZeRO's padding.

    Args:
        live, dead: parameters that are trained, and that are only kept.
    """
    part = live / ranks if stage else live
    masters = MASTER_BYTES if stage else 0
    return Memory(
        weights=round((live + dead) * BYTES[dtype] / (ranks if stage == 3 else 1)),
        gradients=round(part * SUM_BYTES if stage >= 2 else live * BYTES[dtype]),
        optimizer=round(part * (masters + MOMENT_BYTES)),
        ema=round(part * MASTER_BYTES) if ema else 0,
    )


def describe_memory(*, live: int, dead: int, dtype: str, stage: int, ranks: int, ema: bool, offload: bool) -> str:
    """Describe what one rank needs at this stage, and what it would at the others."""
    parts = []
    for other in range(4):
        memory = state_memory(live=live, dead=dead, dtype=dtype, stage=other, ranks=ranks, ema=ema)
        mark = " (this run)" if other == stage else ""
        parts.append(f"ZeRO {other}{mark} {_size(memory.total)}")
    where = "; with --offload the optimiser's part lies in the CPU's memory" if offload else ""
    return f"state of one of {ranks} ranks by formula, activations apart: {', '.join(parts)}{where}"


def describe_peak(device: "torch.device", memory: Memory, *, offload: bool) -> str:
    """Describe how much of a GPU was in use at most, beside the formula; empty on a CPU."""
    if device.type != "cuda":
        return ""
    import torch

    state = memory.weights + memory.gradients if offload else memory.total
    peak, there = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_properties(device).total_memory
    return f"; at most {_size(peak)} of the GPU's {_size(there)} in use, of which by formula {_size(state)} are state"


def _size(size: int) -> str:
    return f"{size / 2**30:,.2f} GiB" if size >= 2**29 else f"{size / 2**20:,.2f} MiB"
