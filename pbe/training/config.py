"""Config: the flags of a training -> what is trained, and how. A field's docstring is its flag's help."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from pbe.feed.config import FeedConfig
from pbe.model.prediction import Prediction
from pbe.weights.averages import Choice
from pipeline.encoders.names import NONE, SHIPPED, ExemplarEncoderName, recorded_word
from pipeline.errors import InputError

# Fields that may change when a training goes on: where it runs, reads and writes, how long, and what is looked at.
FREE = frozenset(
    {"data", "out", "steps", "save_every", "eval_every", "eval_samples", "keep_last", "micro_batch", "workers", "cache"}
    | {"cache_gb", "anonymous", "compile", "channels_last", "checkpointing", "resume", "vae", "clip", "export_only"}
    | {"export_weights", "export_layout", "export_dtype", "collective_timeout", "bad_samples", "check_hashes", "naive"}
    | {"most_bad", "most_bad_in_a_row", "grid_every"}
)
# The paper's switches, and the field that each one empties where it is off.
SWITCHES = {"prior": "init_from", "augmentation": "", "bottleneck": "", "guidance_drop": "drop_share"}


@dataclass(frozen=True)
class TrainConfig:
    """Train Paint by Example from a dataset of shards, on one CPU process or many GPUs."""

    data: str = "runs/tiny"
    """The dataset: a folder or any fsspec URL."""
    out: str = ""
    """The run's folder, on a disk that all ranks share. Default: runs/train-PRESET."""
    steps: int = 60
    """Optimiser steps in all, those before a resume included."""
    batch_size: int = 2
    """Samples of a global batch, over all ranks and micro-batches."""
    micro_batch: int = 0
    """Samples a rank computes at once; more are accumulated. 0: its share of the batch at once."""
    lanes: int = 2
    """Parts of an epoch read side by side; a divisor of the batch size. World sizes must divide it."""
    block: int = 64
    """Consecutive samples that are shuffled among themselves and, on object storage, fetched at once."""
    seed: int = 0
    """Decides the first weights, order, noise, timesteps, guidance drops and live augmentation."""
    model: Literal["tiny", "small", "demo", "sd-v1"] = "tiny"
    """Size of the UNet; `demo`: 4.3 M parameters, for 16 x 16 cells on a CPU; `sd-v1`: Stable Diffusion v1's, 860 M.
    With --init-from a folder or hub id it has the size of that."""
    init_from: str = ""
    """Weights to start from: Stable Diffusion v1 or a Paint by Example model (folder, hub id, .ckpt, or `shipped`),
    with a fresh optimiser. Empty: at random."""
    weights: Choice = "auto"
    """Where --init-from has raw weights and their moving average side by side: `raw` or `ema`. `auto`: those under the
    plain names, which are the raw ones in a checkpoint and beside unet_ema, and the average in a training's folder."""
    exemplar: Literal["cached", "live"] = "cached"
    """`cached`: the vectors in the shards, one augmentation a draw. `live`: the pictures in the shards, augmented anew
    at each use, through CLIP in --dtype; 7 % more arithmetic."""
    prior: bool = True
    """The paper's first remedy: start from --init-from. Off: at random."""
    augmentation: bool = True
    """The second: augmented exemplars, arbitrary masks. Off: plain exemplars and box masks, encoded live; the shards
    must have been made with --keep-source."""
    bottleneck: bool = True
    """The third: one CLIP vector an exemplar. Off: all its tokens, encoded live, through stock cross-attention."""
    guidance_drop: bool = True
    """The fourth: train --drop-share of the samples without exemplar. Off: none."""
    naive: bool = False
    """All four off: the paper's naive baseline."""
    drop_share: float = 0.2
    """Share of the samples trained without exemplar, drawn for each sample separately."""
    prediction: Prediction = "epsilon"
    """What the UNet predicts: the noise, as the paper's, or `v`, the velocity of Salimans and Ho. Part of the model."""
    min_snr: float = 0.0
    """Weight timesteps by min(SNR, this), as Hang et al. (2023) do, who take 5. 0: all alike, as the paper does."""
    hole_weight: float = 1.0
    """Weight of the hole's cells against the others' in what is minimised. 1: all alike, as the paper does."""
    lr: float = 1e-4
    """AdamW's learning rate after the warm-up."""
    lr_schedule: Literal["constant", "cosine"] = "constant"
    """After the warm-up. `cosine`: falls to 0 at the last step, so that --steps may not change later."""
    warmup_steps: int = 10
    """Steps over which the learning rate rises linearly."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    clip_norm: float = 1.0
    """Gradients of a larger global norm are scaled down to it. 0: never."""
    ema: float = 0.0
    """Decay of the moving average of the weights, such as 0.9999; smaller in the first steps. 0: no average."""
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of weights and activations; the optimiser's master weights are always fp32."""
    zero_stage: Literal[0, 1, 2, 3] = 1
    """What ZeRO spreads over the ranks: 1 optimiser states, 2 gradients too, 3 weights too. 0: nothing. With bf16 and
    fp16, 2 and 3 add up the gradients of micro-batches in fp32, 1 in the precision of --dtype."""
    offload: bool = False
    """Keep the optimiser's states and master weights in the CPU's memory (stages 1 to 3)."""
    checkpointing: bool = False
    """Recompute activations in the backward pass instead of keeping them."""
    compile: bool = False
    """Compile the UNet (stages 0 to 2)."""
    channels_last: bool = False
    """Run convolutions on channels-last activations."""
    tf32: bool = False
    """On a GPU with --dtype fp32: multiply in TF32, faster, with 10 bits of mantissa. Off: in full fp32."""
    workers: int = 2
    """Threads of each rank that prepare batches ahead."""
    cache: str = ""
    """A local folder that keeps complete shards of a remote dataset. Empty: none."""
    cache_gb: float = 100.0
    """Size of that folder in GB."""
    anonymous: bool = False
    """Read a public bucket without credentials."""
    bad_samples: Literal["stop", "skip"] = "stop"
    """A missing or damaged sample stops the training, or takes part with weight 0 and is counted."""
    check_hashes: bool = False
    """Compare each sample's bytes with the sha256 in the index."""
    save_every: int = 20
    """Steps between checkpoints; the last step always saves one."""
    keep_last: int = 3
    """Checkpoints to keep."""
    eval_every: int = 20
    """Steps between validations on fixed draws, noise and timesteps. 0: never."""
    eval_samples: int = 256
    """Samples of the validation split to take. 0: all."""
    grid_every: int = 0
    """Steps between grids of what the model paints for a few fixed samples at guidance 1, 3, 5 and 7, in OUT/grids; the
    last step draws one too. 0: none."""
    resume: Literal["auto", "never"] = "auto"
    """`auto`: go on from the newest complete checkpoint in --out. `never`: refuse a folder that holds one."""
    most_bad_in_a_row: int = 5
    """Stop after that many steps in a row whose loss or gradients are not finite; such steps are skipped."""
    most_bad: int = 20
    """Stop after that many such steps in all."""
    vae: str = ""
    """The dataset's VAE, for export and box masks: folder or hub id; `none`: export without one. Empty: the untrained
    or the shipped one, if the dataset was made with it."""
    clip: ExemplarEncoderName = ""
    """The dataset's exemplar encoder, for export and live encoding, likewise."""
    mapper_blocks: int = 0
    """Transformer blocks of the conditioner's mapper. 0: as many as diffusers' layout has for this CLIP."""
    export_only: bool = False
    """Train no further: export the newest checkpoint to OUT/model, and to OUT/model-raw where that is an average."""
    export_weights: Literal["auto", "raw", "ema"] = "auto"
    """What OUT/model holds. `auto`: the moving average where one is kept, with the raw weights beside it in
    OUT/model-raw; `raw` or `ema`: these alone."""
    export_layout: Literal["auto", "diffusers", "pbe"] = "auto"
    """`diffusers`: its Paint by Example folder; `pbe`: our own layout; `auto`: the first where the parts fit it."""
    export_dtype: Literal["fp32", "fp16"] = "fp32"
    """Precision of the export. `fp32`: of the trained weights; the encoders keep the dataset's. `fp16`: of all."""
    collective_timeout: float = 1800.0
    """Seconds a rank waits for the others before it gives up."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InputError: naming the flag, the value and what is allowed.
        """
        _refuse_small(self, 1, "steps batch_size lanes block save_every keep_last most_bad most_bad_in_a_row")
        _refuse_small(
            self, 0, "micro_batch warmup_steps weight_decay clip_norm workers eval_every eval_samples lr min_snr"
        )
        _refuse_small(self, 0, "mapper_blocks cache_gb grid_every")
        _refuse_small(self, 1, "collective_timeout")
        if not 0 < self.hole_weight < math.inf:
            raise InputError(f"--hole-weight {self.hole_weight}: give a number above 0; 1 weights all cells alike")
        if not 0 <= self.drop_share <= 1 or not 0 <= self.ema < 1:
            raise InputError(f"--drop-share {self.drop_share}, --ema {self.ema}: give 0 to 1, for --ema less than 1")
        if self.batch_size % self.lanes:
            raise InputError(f"--lanes {self.lanes}: does not divide --batch-size {self.batch_size}")
        for wrong, why in unsupported(self):
            if wrong:
                raise InputError(why)

    @property
    def exemplar_mode(self) -> Literal["cached", "live", "plain"]:
        """What the feed reads of exemplars, the switches considered."""
        if not self.augmentation:
            return "plain"
        return self.exemplar if self.bottleneck else "live"

    @property
    def masks(self) -> Literal["drawn", "box"]:
        """Which masks the feed draws."""
        return "drawn" if self.augmentation else "box"


def unsupported(config: TrainConfig) -> list[tuple[bool, str]]:
    """List the combinations that are refused: whether the config asks for each, and the message.

    Supported, and tested on the CPU: fp32 with stages 0 to 3, bf16 with 1 to 3 (fp16 likewise, where the device can);
    each with accumulation, EMA, activation checkpointing and channels-last; offload with 1 to 3; compile with 0 to 2.
    """
    stage, dtype = config.zero_stage, config.dtype
    return [
        (stage == 0 and dtype != "fp32", f"--dtype {dtype} needs fp32 master weights: give --zero-stage 1, 2 or 3"),
        (stage == 0 and config.offload, "--offload moves what ZeRO spreads: give --zero-stage 1, 2 or 3"),
        (
            stage == 3 and config.compile,
            "--compile cannot see weights that ZeRO 3 spreads: give --zero-stage 0, 1 or 2",
        ),
        (
            config.tf32 and dtype != "fp32",
            f"--tf32 changes how fp32 is multiplied, which --dtype {dtype} leaves little of: give one of the two",
        ),
        (
            config.weights != "auto" and not config.init_from,
            f"--weights {config.weights}: give --init-from, which has them",
        ),
        (
            config.lr_schedule == "cosine" and config.steps <= config.warmup_steps,
            f"--lr-schedule cosine falls after the warm-up: give --steps above {config.warmup_steps}, which "
            "--warmup-steps takes",
        ),
        (config.export_weights == "ema" and not config.ema, "--export-weights ema: give --ema, such as 0.9999"),
        (
            config.exemplar_mode != "cached" and config.clip == NONE,
            "live exemplars need an encoder: give --exemplar-encoder",
        ),
        (config.masks == "box" and config.vae == NONE, "--no-augmentation encodes masked sources: give --vae"),
        (config.grid_every > 0 and config.vae == NONE, "--grid-every decodes pictures: give --vae"),
        (
            config.clip == NONE and not config.mapper_blocks,
            "--exemplar-encoder none: give --mapper-blocks, 5 for CLIP ViT-L/14",
        ),
    ]


def switched(config: TrainConfig) -> TrainConfig:
    """Apply the paper's switches to the other fields."""
    if config.naive:
        config = replace(config, prior=False, augmentation=False, bottleneck=False, guidance_drop=False)
    if not config.prior:
        config = replace(config, init_from="")
    if not config.guidance_drop:
        config = replace(config, drop_share=0.0)
    return config


def feed_config(config: TrainConfig) -> FeedConfig:
    """Return what of a training concerns its feed: the fields and properties of equal names."""
    shared = {field.name: getattr(config, field.name) for field in fields(FeedConfig) if hasattr(config, field.name)}
    return FeedConfig(**{**shared, "exemplar": config.exemplar_mode})


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the learning rate of a step, counted from 1: warm-up, then constant, or a half cosine to 0 at the last."""
    warm = config.lr * min(1.0, step / max(1, config.warmup_steps))
    if config.lr_schedule == "constant" or step <= config.warmup_steps:
        return warm
    done = (step - config.warmup_steps) / (config.steps - config.warmup_steps)
    return warm * (1 + math.cos(math.pi * done)) / 2


def lasting(config: TrainConfig) -> dict[str, Any]:
    """Return the fields that a resumed training must have unchanged; where the learning rate falls, the steps too."""
    free = FREE - {"steps"} if config.lr_schedule == "cosine" else FREE
    return {field.name: getattr(config, field.name) for field in fields(config) if field.name not in free}


def encoder_name(flag: str, given: str, recorded: str) -> str:
    """Return the name of an encoder of the dataset: the one given, or the word that it was made with.

    Raises:
        InputError: a trained one must be given, since a dataset may have been made on another machine.
    """
    if given:
        return given
    if word := recorded_word(recorded):
        return word
    raise InputError(f"{flag}: the dataset was encoded with {recorded or 'an unnamed encoder'}; give it, or `none`")


def _refuse_small(config: TrainConfig, least: int, names: str) -> None:
    for name in names.split():
        value = getattr(config, name)
        if not least <= value < math.inf:  # which NaN is not, either
            raise InputError(f"--{name.replace('_', '-')} {value}: give a number from {least}")


# Small recipes: an untrained model; and a few careful steps more of the shipped one, with its objective.
SMOKE = TrainConfig(data="runs/smoke")

TINY = TrainConfig(
    steps=30,
    model="demo",
    init_from=SHIPPED,
    prediction="v",
    min_snr=5.0,
    hole_weight=4.0,
    lr=1e-5,
)

PAPER = TrainConfig(
    data="runs/paper",
    steps=296_000,  # 40 passes over 1.9 M photos by 256
    batch_size=256,
    micro_batch=4,
    lanes=64,
    model="sd-v1",
    init_from="CompVis/stable-diffusion-v1-4",
    lr=1e-5,
    warmup_steps=10_000,
    clip_norm=0.0,
    ema=0.9999,
    dtype="bf16",
    zero_stage=2,
    checkpointing=True,
    channels_last=True,
    workers=4,
    save_every=1000,
    eval_every=2000,
    eval_samples=2048,
    grid_every=5000,
    vae="CompVis/stable-diffusion-v1-4:vae",
    clip="openai/clip-vit-large-patch14",
)

# One GPU of 24 GB: master weights and AdamW's two moments (11 GB) lie in the CPU's memory.
ONE_24GB = replace(
    PAPER, steps=100_000, batch_size=16, micro_batch=2, lanes=2, ema=0.0, offload=True, warmup_steps=1000
)

PRESETS = {"tiny": TINY, "smoke": SMOKE, "paper": PAPER, "24gb": ONE_24GB}
