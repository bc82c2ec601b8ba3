"""Method: cases -> pictures by Blended Diffusion, guided by a text or by the exemplar.

The source is squashed to the model's square and the painting stretched back; outside the mask all stays as it is. Torch
is imported where it paints.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pbe.editing.canvas import cut_mask, scale_to
from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.methods.blended.clip_files import (
    PAPERS,
    files_of,
    find_clip,
    name_of,
    read_clip_config,
    refuse_no_tokenizer,
)
from pbe.evaluation.methods.blended.schedule import SKIPPED, STEPS, Step, respaced_steps
from pbe.evaluation.methods.once import Once
from pbe.evaluation.methods.protocol import CaseError, Edited, MethodOptions
from pbe.evaluation.methods.stable_diffusion import PROMPT
from pbe.evaluation.methods.untrained import note_untrained
from pbe.evaluation.methods.weight_digests import digest_files
from pipeline.arrays import Pixels
from pipeline.decoding.resize import resize
from pipeline.draws.crops import Crop
from pipeline.errors import InputError
from pipeline.tensors.weight_files import WEIGHT_SUFFIXES, find_weights

if TYPE_CHECKING:
    import torch

    from pbe.evaluation.methods.blended.adm import Adm
    from pbe.evaluation.methods.blended.clip import Clip
    from pbe.evaluation.methods.blended.guidance import ClipGuide

FORM = "ADM,CLIP"
_WHAT = f"{FORM}: 256x256_diffusion_uncond.pt and the folder or hub id of a CLIP ViT-B/16"


@dataclass(frozen=True)
class Models:
    """What paints and what guides; a tokenizer where a text does."""

    adm: "Adm"
    clip: "Clip"
    tokenizer: Any = None


Target = Callable[[Models, OpenedCase], "torch.Tensor"]
"""What CLIP is to find in the hole: [1, d]. Raises CaseError where the case does not say it."""


class BlendedDiffusion:
    """Blended Diffusion (Avrahami et al., CVPR 2022).

    Args:
        name: of the method.
        weights: `ADM,CLIP`.
        target: what it is guided by.
        has_text: the target is a text, so that the CLIP needs its tokenizer.
        notes: on this variant.
    """

    def __init__(
        self,
        name: str,
        weights: str,
        options: MethodOptions,
        *,
        target: Target,
        has_text: bool,
        notes: Sequence[str] = (),
    ) -> None:
        self.name = name
        adm, _, clip = (part.strip() for part in weights.rpartition(","))
        self._adm, self._clip, self._options = adm, clip, options
        self._target, self._has_text, self._notes = target, has_text, tuple(notes)
        self._models = Once(self._load)
        self.needs = ("label",) if has_text else ()
        self.steps = (STEPS, SKIPPED)  # and how many of these, the noisiest, are left out

    def available(self) -> str:
        """Look for the files of both models, and at the CLIP's config; load none."""
        try:
            self._refuse_missing()
        except (InputError, OSError) as error:
            return str(error)
        return ""

    @property
    def notes(self) -> tuple[str, ...]:
        general = ("paints at its ADM's size (OpenAI's: 256 px), upscaled", "one sample, not the best of several")
        guide = PAPERS if self.available() else self._name_clip()
        other = () if guide == PAPERS else (f"guided by {guide}; the paper's is {PAPERS}",)
        return (*general, *self._notes, *other, *self._untrained)

    @cached_property
    def _untrained(self) -> tuple[str, ...]:
        if self.available():
            return ()
        clip = find_weights(find_clip(self._clip))  # None: of the hub, still to be fetched
        return note_untrained({"ADM": Path(self._adm), "CLIP": clip}, cache=self._options.cache)

    @cached_property
    def settings(self) -> dict[str, Any]:
        if self.available():
            return {}
        cache = self._options.cache
        return {
            "adm": digest_files([Path(self._adm)], cache=cache),
            "clip": self._digest_clip(),
            "steps": list(self.steps),
            "dtype": self._options.dtype,
        }

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        """Paint one case after the other, so that its bytes depend on no other."""
        return [self._edit(case) for case in cases]

    def end(self) -> None:
        """Let go of both models."""
        self._models.drop()

    def _refuse_missing(self) -> None:
        """Refuse weights that are not there.

        Raises:
            InputError: naming what is missing.
            OSError: the system cannot open the file.
        """
        if not (self._adm and self._clip):
            raise InputError(f"{self._adm or self._clip or 'nothing'}: is not both of {_WHAT}")
        adm = Path(self._adm)
        if not adm.is_file():
            raise InputError(f"{adm}: no such file; give {_WHAT}")
        if adm.suffix not in WEIGHT_SUFFIXES:
            raise InputError(f"{adm}: ends not in {', '.join(WEIGHT_SUFFIXES)}; give {_WHAT}")
        adm.open("rb").close()
        self._name_clip()
        if self._has_text:
            refuse_no_tokenizer(self._clip)

    def _edit(self, case: OpenedCase) -> Edited:
        from pbe.evaluation.methods.blended.guidance import ClipGuide
        from pbe.model.finite import NotFiniteError

        models = self._models()
        try:
            target = self._target(models, case)
            guide = ClipGuide(models.clip.encode, target, models.clip.side, case.seed)
            return paint_case(models.adm, guide, case, respaced_steps(*self.steps))
        except CaseError as error:
            return error
        except NotFiniteError as error:
            return CaseError(str(error))

    def _load(self) -> Models:
        from pbe.evaluation.methods.blended.adm import load_adm
        from pbe.evaluation.methods.blended.clip import load_clip, load_tokenizer
        from pipeline.encoders.fingerprints import make_deterministic

        make_deterministic()
        device, dtype = self._options.device, self._options.dtype
        clip = load_clip(self._clip, device=device, dtype=dtype)
        tokenizer = load_tokenizer(self._clip, clip) if self._has_text else None
        return Models(load_adm(self._adm, device=device, dtype=dtype), clip, tokenizer)

    def _name_clip(self) -> str:
        return name_of(self._clip, read_clip_config(self._clip))

    def _digest_clip(self) -> str:
        folder = find_clip(self._clip)
        if Path(self._clip).exists():
            return digest_files(files_of(folder), cache=self._options.cache)
        return f"{self._clip}@{folder.name}"  # the hub's cache names a snapshot's folder by its commit


def blended_text(name: str, weights: str, options: MethodOptions) -> BlendedDiffusion:
    """Open the variant that paints what CLIP finds in "a photo of" the case's label."""
    return BlendedDiffusion(name, weights, options, target=_text_target, has_text=True)


def blended_image(name: str, weights: str, options: MethodOptions) -> BlendedDiffusion:
    """Open the variant that paints what CLIP finds in the exemplar."""
    notes = ["no public code has this variant: our reading of the paper's"]
    return BlendedDiffusion(name, weights, options, target=_image_target, has_text=False, notes=notes)


def paint_case(adm: "Adm", guide: "ClipGuide", case: OpenedCase, steps: Sequence[Step]) -> Pixels:
    """Paint the hole of a case: [h, w, 3] in the source's size, equal to it outside the mask.

    Raises:
        NotFiniteError: a model gives numbers that are not finite.
    """
    import torch

    from pbe.evaluation.methods.blended.sampler import paint
    from pipeline.encoders.pixels import signed

    height, width = case.mask.shape
    whole = Crop((0, 0, width, height), "squash")
    device = adm.unet.device
    source = signed(resize(case.source, adm.size)[None]).to(device)
    hole = torch.from_numpy(cut_mask(case.mask, whole, adm.size))[None, None].float().to(device)
    painted = paint(adm, guide, source, hole, steps=steps, seed=case.seed)
    square = ((painted[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return np.where(case.mask[..., None], scale_to(square, width, height), case.source)


def _text_target(models: Models, case: OpenedCase) -> "torch.Tensor":
    label = case.label.strip()
    if not label:
        raise CaseError("has no label, which a text method paints by")
    return models.clip.encode_text(models.tokenizer, PROMPT.format(label=label))


def _image_target(models: Models, case: OpenedCase) -> "torch.Tensor":
    return models.clip.encode_picture(case.exemplar)
