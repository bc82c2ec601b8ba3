"""Edit run: cases -> pictures in the output folder, one case after the other; finished ones are passed over."""

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm

from pbe.compat import prepare_as_diffusers
from pbe.edit_config import Case, EditConfig
from pbe.edit_figure import draw_pictures
from pbe.edit_inputs import box_mask, read_mask, read_picture
from pbe.edit_outputs import Outputs, unfinished
from pbe.editing import AT_ONCE, Editor, Step, Task, load_editor, paint, prepare
from pbe.sampler import make_scheduler
from pipeline.errors import InputError
from pipeline.photos import Pixels
from pipeline.redaction import redact

EXIT_DONE, EXIT_FAILED = 0, 1


def edit_cases(config: EditConfig, cases: Sequence[Case], outputs: Outputs) -> int:
    """Load the model and edit; returns the exit code: 1 where a case of a table could not be edited."""
    how = config.how
    editor = _load(config)
    settings = _settings(config, editor)
    todo = unfinished(outputs, cases, settings, overwrite=config.overwrite) if config.cases else list(cases)
    failed, calls, began = 0, sum(_calls(config, case) for case in todo), time.perf_counter()
    with tqdm(total=calls, desc="edit", unit="step", mininterval=1, dynamic_ncols=True) as bar:
        for case in todo:
            try:
                edit_case(editor, case, config, outputs, how=how, on_step=bar.update)
                if config.cases:
                    outputs.finish(case, settings)
            except InputError as error:
                if not config.cases:
                    raise
                failed += 1
                calls -= _calls(config, case)
                bar.total = calls
                tqdm.write(redact(f"{case.name}: {error}"))
    _summarise(cases, todo, failed, outputs, calls=calls, seconds=time.perf_counter() - began)
    return EXIT_FAILED if failed else EXIT_DONE


def edit_case(
    editor: Editor, case: Case, config: EditConfig, outputs: Outputs, *, how: Any, on_step: Step | None = None
) -> None:
    """Make a case's pictures, and of several a labelled figure.

    Raises:
        InputError: an input of the case is no good, or the GPU's memory too small.
    """
    source = read_picture(case.source, "source")
    mask = read_mask(case.mask, source) if case.mask else box_mask(case.box, source)
    exemplar = read_picture(case.exemplar, "exemplar")
    if config.compat:
        task = prepare_as_diffusers(editor, source, mask, exemplar, seed=case.seeds[0], n=len(case.seeds))
    else:
        task = prepare(editor, source, mask, exemplar, seeds=case.seeds)
    pictures: dict[tuple[float, int], Pixels] = {}
    for scale in case.guidance:
        for seed, picture in zip(case.seeds, _paint(editor, task, config, scale, how, on_step), strict=True):
            pictures[scale, seed] = picture
            outputs.write(case.file(scale, seed, outputs.suffix), picture)
    if len(pictures) > 1:
        note = f"{editor.parts.source} ({_weights(editor)}), {config.scheduler} {config.steps} steps"
        figure = draw_pictures(source, mask, task.crop, exemplar, pictures, note=note)
        outputs.write(f"{outputs.figure or case.name}{outputs.suffix}", figure)


def _paint(
    editor: Editor, task: Task, config: EditConfig, scale: float, how: Any, on_step: Step | None
) -> list[Pixels]:
    try:
        return paint(
            editor, task, guidance=scale, steps=config.steps, scheduler=config.scheduler, how=how, on_step=on_step
        )
    except torch.OutOfMemoryError as error:
        raise InputError(
            f"the GPU's memory is too small for {min(len(task.noise), AT_ONCE)} pictures at a time of "
            f"{editor.resolution} px; give a smaller --n or --resolution, or --dtype float16"
        ) from error


def _load(config: EditConfig) -> Editor:
    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        kind = torch.device(device).type
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {device}: is not to be had here; give cpu") from error
    dtype = config.dtype if config.dtype != "auto" else "float16" if kind == "cuda" else "float32"
    editor = load_editor(
        config.model, vae=config.vae, clip=config.clip, resolution=config.resolution, device=device, dtype=dtype
    )
    print(f"model: {editor.parts.source} ({_weights(editor)}), {editor.resolution} px, {dtype} on {device}", flush=True)
    return editor


def _settings(config: EditConfig, editor: Editor) -> dict[str, Any]:
    """Tell what decides the pictures besides the case."""
    settings = {name: getattr(config, name) for name in ("steps", "scheduler", "compat")}
    dtype = str(editor.parts.model.conditioner.proj_out.weight.dtype).removeprefix("torch.")
    return {
        **settings,
        "blend": config.how,
        "dtype": dtype,
        "resolution": editor.resolution,
        "weights": _digest(editor),
    }


def _digest(editor: Editor) -> str:
    """Tell weights from those of another step: 16 hex digits over tensors that every step changes."""
    model = editor.parts.model
    digest = hashlib.sha256()
    for tensor in (model.conditioner.uncond_vector, model.conditioner.proj_out.weight, model.unet.conv_out.weight):
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _weights(editor: Editor) -> str:
    note = editor.parts.note
    step = note.get("step")
    return "weights as published" if step is None else f"{note['weights']} weights of step {step}"


def _calls(config: EditConfig, case: Case) -> int:
    """Count the calls of the UNet that a case takes."""
    batches = -(-len(case.seeds) // AT_ONCE)
    return len(make_scheduler(config.scheduler, steps=config.steps).timesteps) * batches * len(case.guidance)


def _summarise(
    cases: Sequence[Case], todo: Sequence[Case], failed: int, outputs: Outputs, *, calls: int, seconds: float
) -> None:
    made = sum(case.pictures for case in todo) if not failed else 0
    rate = f", {seconds / calls:.2f} s a step" if calls else ""
    if len(cases) == 1 and not failed:
        figure = outputs.figure if made > 1 and outputs.figure else cases[0].name
        print(f"{made} pictures in {seconds:.0f} s{rate}: {outputs.place(figure + outputs.suffix)}")
        return
    done = len(todo) - failed
    print(
        f"{len(cases)} cases: {len(cases) - len(todo)} were finished, {done} made, {failed} failed, in {seconds:.0f} s"
        f"{rate}: {outputs.folder.url}"
    )
    if failed:
        print("mend what the messages name, and run the same command again: it makes those that are missing")
