"""By example: a model of this project's kind and cases -> edited pictures, its crop blended in two ways.

Paint by Example itself, published or trained here, and the checkpoints of its ablation. Torch is imported where the
model is loaded.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pbe.editing.canvas import Blend, Context, blend
from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.methods.once import Once
from pbe.evaluation.methods.protocol import CaseError, Edited, MethodOptions
from pbe.evaluation.methods.untrained import note_untrained
from pbe.evaluation.methods.weight_digests import digest_model
from pbe.model.prediction import Prediction
from pbe.weights.averages import check_choice
from pbe.weights.hub import find_configs
from pbe.weights.model_files import read_json, refuse_missing_network
from pbe.weights.own_note import read_note, read_prediction, refuse_no_conditioner
from pipeline.encoders.names import placed
from pipeline.errors import InputError
from pipeline.tensors.weight_files import find_weights

VARIANTS: tuple[Blend, ...] = ("crop", "hole")
UNGUIDED, VELOCITIES = "sampled without guidance", "predicts velocities (v)"
LEAST_STEPS = 1000  # of a training; fewer are said to have taught hardly anything
ENCODERS = ("vae", "image_encoder")
CONTEXT: Context = "whole"
"""What models that are compared see of a source: all of COCOEE's square pictures of 512 px, as in the paper."""


class ByExample:
    """A model that paints by example, or a checkpoint of its ablation.

    Args:
        name: of the method.
        model: a folder, a training's folder, a .ckpt of the original code, a hub id, or `shipped`.
    """

    variants = VARIANTS
    takes_guidance = True

    def __init__(self, name: str, model: str, options: MethodOptions) -> None:
        self.name = name
        self._model, self._options = model, options
        self._place = Path(placed(model))
        self._editor = Once(self._load)

    def available(self) -> str:
        """Look at the configs, here or on the hub, and for the files of weights; load none."""
        return self._reason

    @cached_property
    def _reason(self) -> str:  # once: a hub that does not answer takes its time
        try:
            folder = self._folder
            if folder is None:
                return ""
            read_prediction(folder)
            refuse_no_conditioner(self._model, folder)
            check_choice(self._model, folder, "auto")
            if (config := folder / "image_encoder" / "config.json").is_file():
                refuse_missing_network(read_json(config))
        except InputError as error:
            return str(error)
        return self._missing(folder) if self._place.is_dir() else ""

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What the export recorded: which weights, after how many steps; and which parts have learned nothing."""
        if self._reason:
            return ()
        note = read_note(self._folder) if self._folder else {}
        said = (*describe_note(note), *([VELOCITIES] if self._prediction == "v" else []))
        return (*said, *self._untrained(note.get("step") is not None))

    def _untrained(self, is_recorded: bool) -> tuple[str, ...]:
        """Look at the weights, except at a UNet whose training is recorded."""
        cache = self._options.cache
        if not self._folder:
            return note_untrained({"model": self._place}, cache=cache)
        if not self._place.is_dir():
            return ()  # of the hub, only configs are here
        parts = ENCODERS if is_recorded else ("unet", *ENCODERS)
        return note_untrained({part: find_weights(self._folder / part) for part in parts}, cache=cache)

    @cached_property
    def settings(self) -> dict[str, Any]:
        if self._reason:
            return {}
        options = self._options
        return {
            "weights": digest_model(str(self._place), self._folder, cache=options.cache),
            "prediction": self._prediction,  # which the files of weights do not say in each layout
            "context": CONTEXT,
            **{name: getattr(options, name) for name in ("dtype", "steps", "scheduler")},
        }

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        """Sample once a case, and blend what was painted in each way."""
        scales = sorted({case.guidance for case in cases})
        made: dict[str, Edited] = {}
        for scale in scales:
            made |= self._edit_at(scale, [case for case in cases if case.guidance == scale])
        return [made[case.name] for case in cases]

    def end(self) -> None:
        """Let go of the model."""
        self._editor.drop()

    @cached_property
    def _folder(self) -> Path | None:
        return find_configs(self.name, self._model)

    @cached_property
    def _prediction(self) -> Prediction:
        return read_prediction(self._folder) if self._folder else "epsilon"

    def _missing(self, folder: Path) -> str:
        parts = [part for part in ("unet", *ENCODERS) if not find_weights(folder / part)]
        remedy = "export it again with its encoders, or add them with `python -m pbe.convert`"
        return f"{self._model}: holds no weights of {', '.join(parts)}; {remedy}" if parts else ""

    def _load(self) -> Any:
        from pbe.editing.editor import load_editor

        return load_editor(self._model, device=self._options.device, dtype=self._options.dtype)

    def _edit_at(self, scale: float, cases: Sequence[OpenedCase]) -> dict[str, Edited]:
        from pbe.editing.editor import paint_crops, prepare
        from pbe.model.finite import NotFiniteError

        editor, options = self._editor(), self._options
        made: dict[str, Edited] = {}
        tasks = {}
        for case in cases:
            try:
                given = case.source, case.mask, case.exemplar
                tasks[case.name] = prepare(editor, *given, seeds=[case.seed], context=CONTEXT)
            except NotFiniteError as error:
                made[case.name] = CaseError(str(error))
        crops = paint_crops(
            editor,
            list(tasks.values()),
            guidance=scale,
            steps=options.steps,
            scheduler=options.scheduler,  # type: ignore[arg-type]
            at_once=len(cases),
        )
        for (name, task), painted in zip(tasks.items(), crops, strict=True):
            if isinstance(painted, NotFiniteError):
                made[name] = CaseError(str(painted))
            else:
                made[name] = {
                    how: blend(task.source, painted[0], task.mask, task.crop, how=how).pixels for how in VARIANTS
                }
        return made


class Unguided(ByExample):
    """A checkpoint of the ablation before its last remedy: trained, so sampled, without classifier-free guidance.

    Its unconditional vector was never trained; a guidance scale above 1 would push away from what that happens to mean.
    """

    takes_guidance = False

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self._reason else (*super().notes, UNGUIDED)


def describe_note(note: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what a model's own note (pbe.json) records of its training; empty: it has none, as published models."""
    said = []
    step, kind = note.get("step"), note.get("weights", "unknown")
    if step == 0:
        said.append("untrained weights")
    elif step is not None:
        hardly = "hardly trained: " if step < LEAST_STEPS and not note.get("prior") else ""
        after = ", trained on from other weights" if note.get("prior") else ""
        said.append(f"{hardly}{'' if kind == 'unknown' else f'{kind} '}weights of step {step:,}{after}")
    elif kind != "unknown":
        said.append(f"{kind} weights")
    if note.get("bottleneck") is False:
        said.append("all of the exemplar's tokens as context")
    return tuple(said)
