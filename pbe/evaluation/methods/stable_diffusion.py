"""Stable Diffusion inpainting: cases with labels -> edited pictures: the exemplar said in words, as in the paper's
comparison (section 4.2). diffusers' own pipeline; torch is imported where it is loaded.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pbe.editing.canvas import Blend, blend, crop_for_editing, cut_mask
from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.methods.by_example import CONTEXT
from pbe.evaluation.methods.once import Once
from pbe.evaluation.methods.protocol import CaseError, Edited, MethodOptions
from pbe.evaluation.methods.untrained import note_untrained
from pbe.evaluation.methods.weight_digests import digest_model
from pbe.weights.hub import find_configs
from pbe.weights.model_files import read_json
from pipeline.arrays import Pixels
from pipeline.decoding.colour import Planes
from pipeline.decoding.resize import cut
from pipeline.draws.crops import Crop
from pipeline.encoders.names import placed
from pipeline.errors import InputError
from pipeline.tensors.weight_files import find_weights

GUIDANCE = 7.5
PROMPT = "a photo of {label}"
VARIANTS: tuple[Blend, ...] = ("crop", "hole")
INPAINTING_CHANNELS = 9  # latent, mask, masked latent
WEIGHTS, CONFIGS = ("unet", "vae", "text_encoder"), ("tokenizer", "scheduler")
FORM = "give diffusers' folder or the hub id of a Stable Diffusion inpainting model"


class StableDiffusionInpainting:
    """Inpaints what a text says. It sees the same crop as a model that paints by example, and returns as that does."""

    variants = VARIANTS
    needs = ("label",)

    def __init__(self, name: str, model: str, options: MethodOptions) -> None:
        self.name = name
        self._model, self._options = placed(model), options
        self._pipeline = Once(self._load)

    def available(self) -> str:
        """Look at the configs, here or on the hub, and for the files of weights; load none."""
        return self._reason

    @cached_property
    def _reason(self) -> str:  # once: a hub that does not answer takes its time
        try:
            folder = self._folder
            if folder is None:
                return f"{self._model}: is a file; {FORM}"
            channels = read_json(folder / "unet" / "config.json").get("in_channels")
        except InputError as error:
            return f"{str(error).partition('; ')[0]}; {FORM}"
        if channels != INPAINTING_CHANNELS:
            return (
                f"{self._model}: its UNet takes {channels} channels, not {INPAINTING_CHANNELS}: no inpainting; {FORM}"
            )
        if not Path(self._model).is_dir():
            return ""  # of the hub, only configs are here
        lost = [part for part in WEIGHTS if not find_weights(folder / part)]
        lost += [part for part in CONFIGS if not (folder / part).is_dir()]
        return f"{self._model}: holds no {', '.join(lost)}; {FORM}" if lost else ""

    @cached_property
    def notes(self) -> tuple[str, ...]:
        text = f"text: {PROMPT.format(label='LABEL')}; guidance {GUIDANCE}"
        if self._reason or not self._folder or not Path(self._model).is_dir():
            return (text,)
        parts = {part: find_weights(self._folder / part) for part in WEIGHTS}
        return (text, *note_untrained(parts, cache=self._options.cache))

    @cached_property
    def settings(self) -> dict[str, Any]:
        if self._reason:
            return {}
        options = self._options
        weights = digest_model(self._model, self._folder, cache=options.cache)
        return {"weights": weights, "context": CONTEXT, "dtype": options.dtype, "steps": options.steps}

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        """Paint all cases that have a label in one batch."""
        labelled = [case for case in cases if case.label.strip()]
        painted = dict(zip((case.name for case in labelled), self._paint(labelled), strict=True))
        return [painted.get(case.name) or CaseError("has no label, which a text method paints by") for case in cases]

    def end(self) -> None:
        """Let go of the model."""
        self._pipeline.drop()

    @cached_property
    def _folder(self) -> Path | None:
        return find_configs(self.name, self._model)

    def _load(self) -> Any:
        import torch

        from pipeline.encoders.libraries import diffusers

        local = Path(self._model).is_dir()
        half_alone = local and self._folder and not find_weights(self._folder / "unet", variants=("",))
        pipeline = diffusers.StableDiffusionInpaintPipeline.from_pretrained(
            str(self._folder) if local else self._model,
            variant="fp16" if half_alone else None,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(self._options.device, getattr(torch, self._options.dtype))

    def _paint(self, cases: Sequence[OpenedCase]) -> list[Edited]:
        if not cases:
            return []
        import torch

        from pipeline.encoders.pixels import unit_pixels

        pipeline = self._pipeline()
        size = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        crops = [crop_for_editing(case.mask, size, context=CONTEXT) for case in cases]
        sources = [cut(case.source, crop.box, size) for case, crop in zip(cases, crops, strict=True)]
        holes = [cut_mask(case.mask, crop, size) for case, crop in zip(cases, crops, strict=True)]
        painted = pipeline(
            prompt=[PROMPT.format(label=case.label.strip()) for case in cases],
            image=torch.cat([unit_pixels(source[None]) for source in sources]),
            mask_image=torch.stack([torch.from_numpy(hole)[None].float() for hole in holes]),
            height=size,
            width=size,
            guidance_scale=GUIDANCE,
            num_inference_steps=self._options.steps,
            generator=[torch.Generator("cpu").manual_seed(case.seed) for case in cases],
            output_type="pt",
        ).images.float()
        return [_edited(case, crop, picture) for case, crop, picture in zip(cases, crops, painted, strict=True)]


def _edited(case: OpenedCase, crop: Crop, picture: Any) -> Edited:
    """Blend a crop [3, size, size] in 0..1 into its source, in each way."""
    if not picture.isfinite().all():
        return CaseError("the model gives numbers that are not finite; try --dtype float32")
    painted: Pixels = (picture * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return {how: blend(Planes(case.source), painted, case.mask, crop, how=how).pixels for how in VARIANTS}
