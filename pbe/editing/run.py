"""Run: cases -> pictures in the output folder, one case after the other; finished ones are skipped."""

import hashlib
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, replace
from functools import partial
from typing import Any

import torch
from tqdm import tqdm

from pbe.editing.as_diffusers import prepare_as_diffusers
from pbe.editing.canvas import aims_within, hole_side
from pbe.editing.case import Case
from pbe.editing.config import EditConfig
from pbe.editing.contact_sheet import write_contact_sheet
from pbe.editing.editor import Editor, Painted, Task, load_editor, paint, prepare
from pbe.editing.ending import end_lines, strange_holes
from pbe.editing.figure import draw_pictures
from pbe.editing.inputs import CasePictures, read_case
from pbe.editing.outputs import Outputs
from pbe.editing.records import digest_inputs, settings_of_flags, unfinished, write_record
from pbe.model.finite import NotFiniteError
from pbe.model.sampler import OnStep, make_scheduler
from pipeline.arrays import Hole
from pipeline.decoding.colour import Planes, on_backdrop
from pipeline.draws.crops import Crop
from pipeline.errors import InputError
from pipeline.storage.redaction import redact

EXIT_DONE, EXIT_FAILED = 0, 1
Prepared = tuple[Task, CasePictures]


def edit_cases(
    config: EditConfig,
    cases: Sequence[Case],
    outputs: Outputs,
    *,
    pictures: Mapping[Case, CasePictures] | None = None,
    began: float,
) -> int:
    """Load the model and edit; return the exit code: 1 where a case of a table could not be edited, or the model fails.

    Which pictures share a batch depends on the table alone, not on what is finished, so that a run that was stopped
    ends with the same bytes.

    Args:
        pictures: of the cases that have been read already.
        began: `time.monotonic()` when the command did.

    Raises:
        InputError: the model or the only case cannot be used, or the GPU's memory is too small.
    """
    editor = load(config)
    settings = settings_of(config, editor)
    table = bool(config.cases)
    todo = list(cases)
    if table:
        print(f"comparing {len(cases)} cases with what {outputs.folder.url} holds", flush=True)
        todo = unfinished(outputs, cases, settings, overwrite=config.overwrite)
    names = {case.name for case in todo}
    done = {case.name for case in cases} - names
    groups = [group for group in _groups(cases, config) if any(case.name in names for case in group)]
    failed, lost = 0, Counter[str]()
    sides: dict[str, float] = {}
    with _progress(config, groups) as bar:

        def step(clean: torch.Tensor) -> None:
            bar.update(len(clean))

        for group in groups:
            # Hashed before they are read: a file that changes in between shows up as changed in the next run.
            digests = {case: digest_inputs(case) for case in group} if table else {}
            ready = _prepare_group(editor, group, config, pictures or {})
            sides |= {case.name: hole_side(task.mask, task.crop) for case, (task, _) in ready if case.name in names}
            made = edit_group(editor, ready, config, outputs, wanted=names, on_step=step) if ready else set()
            failed += len(names & {case.name for case in group} - made)
            for given in (given for case, (_, given) in ready if case.name in made):
                lost.update(given.carried.lost_in(outputs.kind, alpha=given.source.alpha is not None))
            for case in (case for case, _ in ready if table and case.name in made):
                write_record(outputs, case, settings, digests[case], model_note=editor.parts.note)
                done.add(case.name)
    finished = [case for case in cases if case.name in done]
    if finished:
        note, crop_of = _describe(editor, config), partial(_crop_for, editor, config)
        write_contact_sheet(outputs, finished, crop_of=crop_of, repaint=config.repaint, note=note)
    for line in strange_holes(config, sides, seen=editor.parts.hole_sides):
        print(redact(line))
    seconds = time.monotonic() - began
    for line in end_lines(config, cases, outputs, todo=len(todo), failed=failed, seconds=seconds):
        print(redact(line))
    if lost:
        print("not kept of the source: " + "; ".join(_of_sources(words, count) for words, count in lost.items()))
    return EXIT_FAILED if failed else EXIT_DONE


def _prepare_group(
    editor: Editor, group: Sequence[Case], config: EditConfig, pictures: Mapping[Case, CasePictures]
) -> list[tuple[Case, Prepared]]:
    """Read and encode cases; those that the model fails on, and of a table those that cannot be used, are left out.

    What is left out is reported.

    Raises:
        InputError: the only case cannot be used.
    """
    ready = []
    for case in group:
        try:
            given = pictures.get(case) or read_case(case, repaint=config.repaint)
            ready.append((case, (prepare_case(editor, case, given, config), given)))
        except InputError as error:
            if not config.cases and not isinstance(error, NotFiniteError):
                raise
            _report(case, error)
    return ready


def _report(case: Case, error: InputError) -> None:
    tqdm.write(redact(f"{case.name}: {error}"))


def prepare_case(editor: Editor, case: Case, pictures: CasePictures, config: EditConfig) -> Task:
    """Encode a case and draw its noise.

    Raises:
        InputError: --compat cannot edit a source of this size.
        NotFiniteError: a part of the model gives numbers that are not finite.
    """
    source, mask, exemplar = on_backdrop(pictures.source), pictures.mask, pictures.exemplar
    if config.compat:
        task = prepare_as_diffusers(editor, source, mask, exemplar, seed=case.seeds[0], n=len(case.seeds))
    else:
        task = prepare(editor, source, mask, exemplar, seeds=case.seeds, context=config.context)
    return replace(task, source=pictures.source)


def edit_group(
    editor: Editor,
    ready: Sequence[tuple[Case, Prepared]],
    config: EditConfig,
    outputs: Outputs,
    *,
    wanted: Collection[str],
    on_step: OnStep | None = None,
) -> set[str]:
    """Make the pictures of cases with the same guidance scales, and of several of a case a labelled figure.

    A case of which a picture is not finite is reported, and nothing of it is written.

    Args:
        wanted: names of the cases whose pictures are written; the others only fill the batch.

    Returns:
        The names of the cases whose pictures are written.

    Raises:
        InputError: the GPU's memory is too small.
    """
    scales = ready[0][0].guidance
    painted = [_paint(editor, [task for _, (task, _) in ready], config, scale, on_step) for scale in scales]
    made = set()
    for number, (case, (task, given)) in enumerate(ready):
        if case.name not in wanted:
            continue
        try:
            pictures = _pictures_of(case, [by_case[number] for by_case in painted])
        except NotFiniteError as error:
            _report(case, error)
            continue
        for (scale, seed), picture in pictures.items():
            outputs.write_picture(case.file(scale, seed, outputs.suffix), picture, given.carried)
        if len(pictures) > 1:
            note, source = _describe(editor, config), on_backdrop(task.source)
            shown = {place: on_backdrop(picture) for place, picture in pictures.items()}
            figure = draw_pictures(source, task.mask, task.crop, given.exemplar, shown, note=note)
            outputs.write(outputs.figure_of(case), figure)
        made.add(case.name)
    return made


def paint_case(
    editor: Editor, case: Case, task: Task, config: EditConfig, *, on_step: OnStep | None = None
) -> dict[tuple[float, int], Planes]:
    """Make the pictures of one case, by guidance scale and seed.

    Raises:
        NotFiniteError: one of them is not finite.
        InputError: the GPU's memory is too small.
    """
    return _pictures_of(case, [_paint(editor, [task], config, scale, on_step)[0] for scale in case.guidance])


def _pictures_of(case: Case, by_scale: Sequence[Painted]) -> dict[tuple[float, int], Planes]:
    """Name a case's pictures by guidance scale and seed.

    Raises:
        NotFiniteError: one of them is not finite.
    """
    pictures: dict[tuple[float, int], Planes] = {}
    for scale, painted in zip(case.guidance, by_scale, strict=True):
        if isinstance(painted, NotFiniteError):
            raise painted
        pictures |= {(scale, seed): picture for seed, picture in zip(case.seeds, painted, strict=True)}
    return pictures


def _groups(cases: Sequence[Case], config: EditConfig) -> list[list[Case]]:
    """Cut the cases into groups that are made together: neighbours with the same guidance, a batch at most.

    With --compat each alone, since sizes differ.
    """
    most = 1 if config.compat else max(1, config.batch // config.n)
    groups: list[list[Case]] = []
    for case in cases:
        if groups and len(groups[-1]) < most and groups[-1][0].guidance == case.guidance:
            groups[-1].append(case)
        else:
            groups.append([case])
    return groups


def _crop_for(editor: Editor, config: EditConfig, mask: Hole) -> Crop:
    """Choose the part of a source with this hole that the model sees."""
    height, width = mask.shape
    return Crop((0, 0, width, height), "crop") if config.compat else editor.crop_for(mask, config.context)


def _paint(
    editor: Editor, tasks: Sequence[Task], config: EditConfig, scale: float, on_step: OnStep | None
) -> list[Painted]:
    try:
        return paint(
            editor,
            tasks,
            guidance=scale,
            steps=config.steps,
            scheduler=config.scheduler,
            how=config.how,
            at_once=config.n if config.compat else config.batch,
            on_step=on_step,
        )
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"--batch {config.batch}: the GPU's memory is too small for that many pictures of {editor.resolution} px; "
            "give a smaller --batch or --resolution, or --dtype float16"
        ) from error


def load(config: EditConfig) -> Editor:
    """Load what the flags name, and say what it is.

    Raises:
        InputError: the device is not there, or see `load_editor`.
    """
    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        kind = torch.device(device).type
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {device}: is not available here; give cpu") from error
    print(f"loading {config.model}", flush=True)
    dtype = config.dtype if config.dtype != "auto" else "float16" if kind == "cuda" else "float32"
    editor = load_editor(
        config.model,
        vae=config.vae,
        clip=config.clip,
        weights=config.weights,
        resolution=config.resolution,
        device=device,
        dtype=dtype,
    )
    if editor.parts.taken:
        print(editor.parts.taken, flush=True)
    print(f"model: {editor.parts.source} ({_weights(editor)}), {editor.resolution} px, {dtype} on {device}", flush=True)
    return editor


def settings_of(config: EditConfig, editor: Editor) -> dict[str, Any]:
    """What decides the pictures besides the case."""
    aimed = config.context == "auto" and not config.compat
    dtype = str(editor.parts.model.conditioner.proj_out.weight.dtype).removeprefix("torch.")
    return {
        **settings_of_flags(config),
        "dtype": dtype,
        "resolution": editor.resolution,
        **({"aims": list(astuple(aims_within(editor.parts.hole_sides)))} if aimed else {}),
        "weights": _digest(editor),
        "prediction": editor.parts.model.config.prediction,
    }


def _digest(editor: Editor) -> str:
    """Digest a few tensors of each part: other steps and other encoders have other 16 hex digits."""
    model = editor.parts.model
    trained = model.conditioner.uncond_vector, model.conditioner.proj_out.weight, model.unet.conv_out.weight
    frozen = [list(part.parameters())[place] for part in (editor.vae, editor.tower) for place in (0, -1)]
    digest = hashlib.sha256()
    for tensor in (*trained, *frozen):
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _describe(editor: Editor, config: EditConfig) -> str:
    """Describe what made the pictures, for a figure."""
    return f"{editor.parts.source} ({_weights(editor)}), {config.scheduler} {config.steps} steps"


def _weights(editor: Editor) -> str:
    parts = editor.parts
    step = parts.note.get("step")
    kind = "weights as published" if parts.weights == "unknown" else f"{parts.weights} weights"
    return kind if step is None else f"{kind} of step {step}"


def _progress(config: EditConfig, groups: Sequence[Sequence[Case]]) -> "tqdm[Any]":
    """Show the steps of all pictures."""
    steps = len(make_scheduler(config.scheduler, steps=config.steps).timesteps)
    total = steps * sum(case.pictures for group in groups for case in group)
    off: dict[str, Any] = {} if total else {"disable": True}  # false, said in words, would overrule TQDM_DISABLE
    return tqdm(total=total, desc="edit", unit="step", mininterval=1, dynamic_ncols=True, **off)


def _of_sources(words: str, count: int) -> str:
    return words if count == 1 else f"{words}, of {count} sources"
