"""Editor: a loaded model and source, mask, exemplar -> edited pictures, step by step.

What the model sees is made as for training: a square crop, resized with antialias; the hole by the one raster rule;
the masked crop's posterior mean; the exemplar squashed to 224 px.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, get_args

import torch

from pbe.editing.canvas import Blend, Context, aims_within, blend, crop_for_editing, cut_mask
from pbe.editing.config import MAX_RESOLUTION, refuse_bad_numbers, refuse_resolution
from pbe.editing.inputs import Picture, read_hole, read_picture
from pbe.model.finite import NotFiniteError, Part, finite_rows, refuse_not_finite
from pbe.model.one_token import attention_everywhere
from pbe.model.sampler import (
    DEFAULT_GUIDANCE,
    DEFAULT_SCHEDULER,
    DEFAULT_STEPS,
    Conditions,
    OnStep,
    SchedulerName,
    initial_noise,
    make_scheduler,
    sample,
)
from pbe.weights.averages import Choice
from pbe.weights.parts import Parts, load_parts
from pipeline.arrays import Hole, Pixels
from pipeline.decoding.colour import Planes
from pipeline.decoding.resize import cut, resize
from pipeline.draws.crops import Crop
from pipeline.draws.raster import latent_mask
from pipeline.encoders.loading import codec_of, exemplar_encoder_of
from pipeline.encoders.pixels import blank_signed, byte_pixels, signed, unit_pixels
from pipeline.encoders.protocols import Codec
from pipeline.errors import InputError
from schemas.pairs import Repaint
from schemas.samples import EXEMPLAR_PX

AT_ONCE = 8  # pictures in one batch, which guidance doubles
Painted = list[Planes] | NotFiniteError
"""The pictures of a task; or, where one of them is not finite, which part of the model gave that."""


@dataclass(frozen=True)
class Editor:
    """A model with its encoders, ready to edit."""

    parts: Parts
    resolution: int
    """px along a side of the model's square picture."""

    @property
    def vae(self) -> Any:
        """diffusers' VAE, or the module of another codec."""
        return self.parts.vae

    @property
    def tower(self) -> Any:
        """transformers' CLIPVisionModel, or the module of another exemplar encoder."""
        return self.parts.tower

    @property
    def codec(self) -> Codec:
        """What turns pictures into latents and back."""
        return codec_of(self.vae)

    def encode_exemplar(self, picture: torch.Tensor) -> torch.Tensor:
        """[1, 3, s, s] float32 in [0, 1] -> the vector [1, d] of the bottleneck, or without it tokens [1, n, d]."""
        encoder = exemplar_encoder_of(self.tower)
        return encoder.pooled(picture) if self.parts.model.config.bottleneck else encoder.tokens(picture)

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return int(self.parts.model.unet.config.out_channels)

    def crop_for(self, mask: Hole, context: Context) -> Crop:
        """Choose the part of a source with this hole that the model sees; see `crop_for_editing`."""
        return crop_for_editing(mask, self.resolution, context=context, aims=aims_within(self.parts.hole_sides))


@dataclass(frozen=True)
class Task:
    """One source, encoded, with the noise of the pictures to be made of it."""

    source: Planes
    """As its file has it, [H, W]."""
    mask: Hole
    """[H, W] bool, True = repaint."""
    crop: Crop
    """The part of the source that the model sees."""
    conditions: Conditions
    """Of a batch of one."""
    noise: torch.Tensor
    """[n, c, h, w] float32."""
    as_diffusers: bool = False
    """Sample as diffusers' pipeline: round as its attention does, at the cost of speed, and step with velocities."""


def load_editor(
    model: str,
    *,
    vae: str = "",
    clip: str = "",
    weights: Choice = "auto",
    resolution: int = 0,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
) -> Editor:
    """Load a model to edit with.

    Args:
        model: see `pbe.weights.parts.load_parts`, as are `vae` and `clip`.
        weights: `raw` or `ema`, where both lie side by side.
        resolution: px along a side of the model's picture; 0: the one it was made for.
        dtype: `float32`, `float16` or `bfloat16`.

    Raises:
        InputError: something is missing, does not fit together, or is not a model that edits by example.
    """
    parts = load_parts(model, vae=vae, clip=clip, choice=weights, device=device, dtype=dtype)
    for part, flag in ((parts.vae, "--vae"), (parts.tower, "--exemplar-encoder")):
        if part is None:
            raise InputError(f"{model}: editing needs its encoders; name them with {flag}")
    config = parts.model.unet.config
    factor = codec_of(parts.vae).factor
    own = config.sample_size
    if not resolution and (type(own) is not int or not 0 < own * factor <= MAX_RESOLUTION):
        raise InputError(f"{model}: its UNet's sample_size is {own}; give --resolution, such as 512")
    refuse_resolution(resolution, factor=factor, levels=len(config.block_out_channels))
    return Editor(parts, resolution or own * factor)


def edit(
    editor: Editor,
    source: Picture,
    mask: Picture | None = None,
    exemplar: Picture | None = None,
    *,
    box: str | Sequence[int] | None = None,
    guidance: float = DEFAULT_GUIDANCE,
    steps: int = DEFAULT_STEPS,
    seed: int = 0,
    scheduler: SchedulerName = DEFAULT_SCHEDULER,
    n: int = 1,
    blend: Blend = "hole",
    repaint: Repaint = "white",
    context: Context = "auto",
) -> list[Pixels]:
    """Repaint the masked part of a picture so that it shows the exemplar's object.

    Args:
        editor: from `load_editor`.
        source: the picture to edit, of any size: a path or URL, a PIL image, or an array [h, w, 3] uint8 RGB.
        mask: what to repaint: white, True or 1; a path or URL, a PIL image, or an array [h, w] of bool, integers or
            floats 0..1, of the source's size or at least its aspect.
        exemplar: the object to show, a picture of any size and aspect.
        box: instead of a mask: x0, y0, x1, y1 in px of the upright source, x1 and y1 exclusive; also as `x0,y0,x1,y1`.
        guidance: scale; 1: none, 5: the paper's; larger follows the exemplar more closely, but looks less natural.
        steps: denoising steps.
        seed: of the first picture; the following have seed + 1, seed + 2 ...
        scheduler: `pndm`, `ddim` or `dpmpp`.
        n: pictures to make.
        blend: `hole`: the repainted part with a seam fading out around it; `paste`: nothing outside the mask changes,
            bit for bit; `crop`: the whole crop that the model saw, as decoded.
        repaint: what of the mask is repainted: `white`, `black`, `nonzero` (of label pictures), `opaque` or
            `transparent`.
        context: how much of the source the model sees. `auto`: a square in which the hole is about as large as in
            training; `whole`: the largest square.

    Returns:
        n arrays [h, w, 3] uint8 sRGB in the source's size: a source of another colour space is converted, and lies on
        white where it is transparent. `python -m pbe.edit` keeps both in its files.

    Raises:
        InputError: an input cannot be read, the mask is empty or of another shape, a number is out of range, or a name
            is unknown.
        NotFiniteError: a part of the model gives numbers that are not finite, see `pbe.model.finite`.
    """
    refuse_bad_numbers(guidance=guidance, steps=steps, n=n, seed=seed)
    for name, value, allowed in (
        ("scheduler", scheduler, SchedulerName),
        ("blend", blend, Blend),
        ("repaint", repaint, Repaint),
        ("context", context, Context),
    ):
        if value not in get_args(allowed):
            raise InputError(f"{name} {value!r}: give {', '.join(get_args(allowed))}")
    if exemplar is None:
        raise InputError("exemplar: is missing; give the picture of the object to show")
    pixels = read_picture(source, "source")
    given = read_hole(mask, box, pixels, repaint=repaint), read_picture(exemplar, "exemplar")
    task = prepare(editor, pixels, *given, seeds=range(seed, seed + n), context=context)
    [made] = paint(editor, [task], guidance=guidance, steps=steps, scheduler=scheduler, how=blend)
    if isinstance(made, NotFiniteError):
        raise made
    return [picture.pixels for picture in made]


def prepare(
    editor: Editor, source: Pixels, mask: Hole, exemplar: Pixels, *, seeds: Sequence[int], context: Context = "auto"
) -> Task:
    """Encode what the pictures are conditioned on, as for training, and draw their noise.

    Args:
        source: [H, W, 3] uint8 sRGB, as the model is to see it.
        mask: [H, W] bool, True = repaint, not empty.
        exemplar: [h, w, 3] uint8 RGB.
        seeds: one a picture.
        context: how much of the source the model sees; see `crop_for_editing`.

    Raises:
        NotFiniteError: a part of the model gives numbers that are not finite.
    """
    size = editor.resolution
    crop = editor.crop_for(mask, context)
    hole = cut_mask(mask, crop, size)
    masked = blank_signed(signed(cut(source, crop.box, size)[None]), hole[None])
    cells = size // editor.codec.factor
    masked_latents = editor.codec.latents(masked)
    refuse_not_finite(masked_latents, "VAE's encoder", editor.vae.dtype)
    conditions = Conditions(
        *contexts_of(editor, editor.encode_exemplar(unit_pixels(resize(exemplar, EXEMPLAR_PX)[None]))),
        masked_latents=masked_latents,
        masks=latent_mask(torch.from_numpy(hole)[None, None].float(), (cells, cells)).to(editor.vae.device),
    )
    return Task(Planes(source), mask, crop, conditions, initial_noise((editor.channels, cells, cells), list(seeds)))


@torch.inference_mode()
def contexts_of(editor: Editor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn an exemplar's features [1, d] or [1, n, d] into contexts [1, n, cross_dim], its and the empty one.

    Raises:
        NotFiniteError: these, or what the conditioner makes of them, are not finite.
    """
    model = editor.parts.model
    refuse_not_finite(features, "exemplar encoder", editor.tower.dtype)
    context = model.conditioner(features)
    unconditional = model.conditioner.unconditional(context)
    for each in (context, unconditional):
        refuse_not_finite(each, "conditioner", context.dtype)
    return context, unconditional


def paint(
    editor: Editor,
    tasks: Sequence[Task],
    *,
    guidance: float,
    steps: int,
    scheduler: SchedulerName,
    how: Blend,
    at_once: int = AT_ONCE,
    on_step: OnStep | None = None,
) -> list[Painted]:
    """Make the tasks' pictures: as `paint_crops`, and blend them into the sources, in the sources' own colours.

    Returns:
        By task, its pictures, or why there are none.
    """
    crops = paint_crops(
        editor,
        tasks,
        guidance=guidance,
        steps=steps,
        scheduler=scheduler,
        at_once=at_once,
        on_step=on_step,
    )
    return [
        made
        if isinstance(made, NotFiniteError)
        else [blend(task.source, crop, task.mask, task.crop, how=how) for crop in made]
        for task, made in zip(tasks, crops, strict=True)
    ]


def paint_crops(
    editor: Editor,
    tasks: Sequence[Task],
    *,
    guidance: float,
    steps: int,
    scheduler: SchedulerName,
    at_once: int = AT_ONCE,
    on_step: OnStep | None = None,
) -> list[list[Pixels] | NotFiniteError]:
    """Sample and decode, batch by batch.

    Args:
        tasks: whose latents have one size.
        at_once: pictures in one batch, which guidance doubles.
        on_step: called after every step with the latents without noise [b, c, h, w] that a batch is heading for.

    Returns:
        By task, its crops [h, w, 3] uint8 sRGB, as large as the model's picture, or why there are none.
    """
    made: list[list[Pixels]] = [[] for _ in tasks]
    faults: dict[int, NotFiniteError] = {}
    dtypes: dict[Part, torch.dtype] = {"UNet": editor.parts.model.unet.dtype, "VAE's decoder": editor.vae.dtype}
    slots = [(number, row) for number, task in enumerate(tasks) for row in range(len(task.noise))]
    for first in range(0, len(slots), at_once):
        batch = slots[first : first + at_once]
        latents = denoise(
            editor,
            [(tasks[number], row) for number, row in batch],
            guidance=guidance,
            steps=steps,
            scheduler=scheduler,
            on_step=on_step,
        )
        decoded = editor.codec.decode(latents)
        finite = {"UNet": finite_rows(latents), "VAE's decoder": finite_rows(decoded)}
        crops = byte_pixels(decoded)
        for slot, (number, _) in enumerate(batch):
            part = next((part for part in dtypes if not finite[part][slot]), None)
            if part:
                faults.setdefault(number, NotFiniteError(part, dtypes[part], f"at guidance {guidance:g}"))
            else:
                made[number].append(crops[slot])
    return [faults.get(number, crops) for number, crops in enumerate(made)]


def denoise(
    editor: Editor,
    slots: Sequence[tuple[Task, int]],
    *,
    guidance: float,
    steps: int,
    scheduler: SchedulerName,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """Sample the latents [b, c, h, w] of some pictures: tasks with the number of one of their noises."""
    conditions = Conditions.join([task.conditions for task, _ in slots])
    noise = torch.stack([task.noise[row] for task, row in slots])
    unet, predicts = editor.parts.model.unet, editor.parts.model.config.prediction
    exact, device = slots[0][0].as_diffusers, conditions.context.device
    made = make_scheduler(scheduler, steps=steps, device=device, takes=predicts if exact else "epsilon")
    with attention_everywhere(unet) if exact else nullcontext():
        return sample(
            unet, made, noise, conditions, guidance=guidance, prediction=predicts, share=not exact, on_step=on_step
        )
