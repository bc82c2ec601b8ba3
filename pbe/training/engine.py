"""Engine: model and config -> DeepSpeed's ZeRO training, and the few things that differ between its stages.

DeepSpeed's settings are derived from our config; no JSON file of its own is read.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import deepspeed
import torch
from deepspeed.utils import safe_get_full_fp32_param, safe_set_full_fp32_param, safe_set_local_fp32_param
from torch import nn

from pbe.batch import Batch
from pbe.model.diffusion import Losses
from pbe.model.paint_by_example import PaintByExample, count_parameters, dead_tensors
from pbe.model.unet import compile_unet
from pbe.training.config import TrainConfig
from pbe.training.ranks import Ranks

BETAS = (0.9, 0.999)
NEVER = 10**9


class Engine:
    """A model in training.

    Args:
        universal: the state to load comes from DeepSpeed's universal checkpoint.
    """

    def __init__(
        self, model: PaintByExample, config: TrainConfig, ranks: Ranks, *, accumulation: int, universal: bool = False
    ) -> None:
        self.stage, self._clip, self.config = config.zero_stage, config.clip_norm, model.config
        self.dead = dead_tensors(model)  # before the engine rounds them
        self.dead_count = count_parameters(model, dead=True)  # before it spreads them
        self.live_count = count_parameters(model) - self.dead_count
        self.optimizer = prepare_step(model, config)
        self._allowed, self._norm = True, 0.0
        self._guard()
        settings = deepspeed_config(config, world=ranks.world, accumulation=accumulation, universal=universal)
        self.deepspeed, *_ = deepspeed.initialize(
            model=model, optimizer=self.optimizer, config=settings, dist_init_required=False
        )
        self.live: dict[str, nn.Parameter] = {n: p for n, p in model.named_parameters() if p.requires_grad}

    def losses(self, batch: Batch) -> Losses:
        """Compute a micro-batch's losses."""
        return self.deepspeed(batch)  # type: ignore[no-any-return]

    def backward(self, loss: torch.Tensor, *, last: bool) -> None:
        """Add a micro-batch's gradients; `last`: of the global batch."""
        self.deepspeed.set_gradient_accumulation_boundary(last)
        self.deepspeed.backward(loss)

    def step(self, *, lr: float, allowed: bool) -> tuple[bool, float]:
        """Update the weights once the last micro-batch has gone backward, or only forget the gradients.

        Returns:
            Whether the weights were updated, and the gradients' global norm before clipping.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self._allowed = allowed
        self.deepspeed.step()
        self._allowed = True
        if self.stage == 0:
            return allowed and bool(torch.isfinite(torch.tensor(self._norm))), self._norm
        return allowed and not self.deepspeed.optimizer.overflow, float(self.deepspeed.get_global_grad_norm())

    def between(self) -> None:
        """Go on to the next micro-batch."""
        self.deepspeed.step()

    @property
    def masters(self) -> list[torch.Tensor]:
        """This rank's part of the fp32 weights that the optimiser changes."""
        if self.stage == 0:
            return [parameter.data for parameter in self.live.values()]
        inner = self.deepspeed.optimizer
        parts = inner.fp32_partitioned_groups_flat if self.stage == 3 else inner.single_partition_of_fp32_groups
        return [part.data for part in parts]

    def full(self, name: str) -> torch.Tensor:
        """Gather one live tensor's fp32 weights from all ranks, which must all call."""
        parameter = self.live[name]
        if self.stage == 0:
            return parameter.detach()
        gathered: torch.Tensor = safe_get_full_fp32_param(parameter)
        return gathered.detach()

    def set_full(self, name: str, value: torch.Tensor) -> None:
        """Set this rank's part of one live tensor's fp32 weights; the model follows at `refresh`."""
        parameter = self.live[name]
        value = value.to(self.deepspeed.device)
        if self.stage == 0:
            parameter.data.copy_(value)
        elif self.stage < 3:
            safe_set_full_fp32_param(parameter, value)
        else:
            part = parameter.ds_tensor.numel()  # type: ignore[attr-defined]
            world = self.deepspeed.dp_world_size
            padded = nn.functional.pad(value.flatten(), (0, part * world - value.numel()))
            safe_set_local_fp32_param(parameter, padded.narrow(0, part * self.deepspeed.global_rank, part))

    def refresh(self) -> None:
        """Round the fp32 weights into the model's; all ranks must call."""
        if self.stage == 0:
            return
        for name, parameter in self.live.items():
            weights = self.full(name)
            with _gathered(parameter, zero3=self.stage == 3):
                parameter.data.copy_(weights)

    def take_up(self, *, updates: int | None) -> None:
        """Let the optimiser, after every load, step as it does now, whatever made the checkpoint.

        What is loaded replaces the optimiser's settings by those that it was saved with, and a fused step wants its
        count of updates on the parameter's device.

        Args:
            updates: their number, which the universal form of stage 3 does not hold; None: as loaded.
        """
        for group in self.optimizer.param_groups:
            group.update(foreach=None, fused=True)
        for parameter, state in self.optimizer.state.items():
            count = float(state["step"] if updates is None else updates)
            state["step"] = torch.tensor(count, device=parameter.device)

    def full_state(self, *, keep: bool) -> dict[str, torch.Tensor]:
        """Gather the complete state dict in fp32 on the CPU where `keep`; all ranks must call."""
        state: dict[str, torch.Tensor] = {}
        for name in self.live:
            weights = self.full(name)
            if keep:
                state[name] = weights.float().cpu().clone()
        return {**state, **self.dead} if keep else {}

    def _guard(self) -> None:
        """Let the optimiser skip steps that are not allowed; at stage 0 also clip and measure the norm.

        DeepSpeed's `step` counts micro-batches, reduces, clips, updates and forgets the gradients in one call, and
        offers no way to do all but the update. The optimiser that it calls is ours: there the update can be left out.
        """
        update: Callable[[], Any] = self.optimizer.step

        def step(*_: Any, **__: Any) -> None:
            if self.stage == 0:
                live = self.optimizer.param_groups[0]["params"]
                self._norm = float(nn.utils.clip_grad_norm_(live, self._clip or float("inf")))
            if self._allowed and (self.stage > 0 or self._norm < float("inf")):
                update()

        self.optimizer.step = step  # type: ignore[method-assign]


def prepare_step(model: PaintByExample, config: TrainConfig) -> torch.optim.AdamW:
    """Set all that makes a step fast, for this process and this model; the benchmark of the step calls it, too.

    Autotuned convolutions choose their algorithms by time, so that GPU runs may differ in last bits. That is for
    training alone: whoever encodes a dataset calls `make_deterministic`.

    Returns:
        The optimiser of the live parameters: AdamW in one kernel a step.
    """
    torch.backends.cudnn.benchmark = True
    # TF32 has as many bits of mantissa as fp16 and more than bf16: beside these, what is in fp32 loses nothing by it.
    fast = config.tf32 or config.dtype != "fp32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = fast
    unet = model.unet
    if config.checkpointing:
        unet.enable_gradient_checkpointing()
    if config.channels_last:
        # The memory format of the first activations goes on through the UNet; weights are laid out by ZeRO.
        unet.conv_in.register_forward_pre_hook(
            lambda _, inputs: (inputs[0].contiguous(memory_format=torch.channels_last),)
        )
    if config.compile:
        compile_unet(unet)
    live = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(live, lr=config.lr, betas=BETAS, weight_decay=config.weight_decay, fused=True)


def deepspeed_config(config: TrainConfig, *, world: int, accumulation: int, universal: bool) -> dict[str, Any]:
    """Derive DeepSpeed's settings from ours."""
    zero: dict[str, Any] = {"stage": config.zero_stage, "overlap_comm": False, "contiguous_gradients": True}
    if config.offload:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": False}
    # Sums of many micro-batches lose bits in half precision. At stage 1 DeepSpeed would take another optimiser for it,
    # whose fp32 weights lie elsewhere.
    fp32_sums = config.dtype != "fp32" and config.zero_stage >= 2
    return {
        "train_batch_size": config.batch_size,
        "train_micro_batch_size_per_gpu": config.batch_size // world // accumulation,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": config.clip_norm if config.zero_stage else 0.0,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": config.dtype == "bf16"},
        "fp16": {"enabled": config.dtype == "fp16", "initial_scale_power": 16},
        "data_types": {"grad_accum_dtype": "fp32"} if fp32_sums else {},
        "checkpoint": {"load_universal": universal, "tag_validation": "Ignore"},
        "steps_per_print": NEVER,
    }


@contextmanager
def _gathered(parameter: nn.Parameter, *, zero3: bool) -> Iterator[None]:
    if not zero3:
        yield
        return
    with deepspeed.zero.GatheredParameters([parameter], modifier_rank=0):
        yield
