"""Loop: a run -> its optimiser steps, one row each, until the last or until a rank is to stop."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbe.feed.dataset import Dataset
from pbe.feed.training_feed import FeedStep
from pbe.model.diffusion import weighted_loss
from pbe.model.finite import NotFiniteError
from pbe.training.config import learning_rate
from pbe.training.frozen import TORCH_DTYPES
from pbe.training.memory import describe_peak
from pbe.training.observations import Observations, name_odd, observe, say_odd
from pbe.training.ranks import Ranks
from pbe.training.run import Run, save
from pbe.training.run_folder import Row
from pbe.training.sample_grids import GridPictures, PictureScorer, draw_grid, load_grid_samples, paint_grid
from pbe.training.telemetry import Telemetry
from pbe.training.validation import validate
from pipeline.arrays import Pixels
from pipeline.errors import InputError
from schemas.grid_scores import GridScores


def steps(run: Run, received: set[int], score_pictures: PictureScorer) -> None:
    """Train step by step until the last, or until a rank has received a signal."""
    config, counts = run.config, run.counts
    if counts.step >= config.steps:
        run.ranks.say(f"at step {counts.step} of --steps {config.steps} already: nothing to train, only to export")
        return
    log = Telemetry(run.out, done=counts.step, steps=config.steps, batch=config.batch_size) if run.ranks.first else None
    saved = counts.step
    source = run.feed.steps(run.position)
    try:
        while counts.step < config.steps:
            row, stop = one_step(run, source, received)
            if run.validation and _due(counts.step, config.eval_every, config.steps):
                with log.paused() if log else nullcontext():
                    seen = validate(run, run.validation)
                row |= seen.means
                if log:
                    log.write_validation(counts.step, seen.table(run.validation.keys))
            if log and (pace := log.write(row)):
                run.ranks.say(pace + describe_peak(run.ranks.device, run.memory, offload=config.offload))
            if _due(counts.step, config.grid_every, config.steps):
                with log.paused() if log else nullcontext():
                    grid = sample_grid(run, score_pictures)
                if log and grid:
                    log.write_grid(*grid)
            if stop or _due(counts.step, config.save_every, config.steps):
                with log.paused() if log else nullcontext():
                    if log:
                        log.sync()
                    save(run)
                saved = counts.step
            if stop:
                break
    finally:
        source.close()  # type: ignore[attr-defined]
        if log:
            log.close()
    if counts.step < config.steps:
        run.ranks.say(f"stopped at step {saved} and saved it; run the same command again to go on")


def one_step(run: Run, source: Iterator[FeedStep], received: set[int]) -> tuple[Row, bool]:
    """Train on the next global batch; return its row, and whether a rank is to stop."""
    config, counts, engine = run.config, run.counts, run.engine
    began = time.perf_counter()
    step = _next_on_all_ranks(source, run.ranks)
    waited = time.perf_counter() - began
    rows, odd = _accumulate(run, step)
    # All ranks see the losses of all samples, so that all of them decide alike whether the step is allowed.
    seen, stop = _gather(rows, bool(received), run.ranks)
    lr = learning_rate(config, counts.step + 1)
    updated, norm = engine.step(lr=lr, allowed=seen.finite)
    # fp16's loss scale overflows now and then and then adapts: such a step is skipped, but nothing is wrong with it.
    counts.add(updated=updated, overflow=config.dtype == "fp16" and seen.finite and not updated, missing=seen.missing)
    if run.average and updated:
        run.average.update(counts.updates)
    run.position = step.after
    if not seen.finite:
        odd = run.ranks.gather_all(odd)
        run.ranks.say(f"step {counts.step}: skipped; {say_odd(odd)}")
    _refuse_many_bad(run, step, odd)
    row: Row = {"step": counts.step, "loss": seen.mean("loss"), "batch": seen.digest, "epoch": step.position.epoch}
    row |= {"loss_inside": seen.mean("inside"), "loss_outside": seen.mean("outside")}
    row["objective"] = seen.mean("objective")
    row |= {f"loss_t{number}": value for number, value in enumerate(seen.by_timestep())}
    row |= {"grad_norm": norm, "uncond_norm": float(engine.full("conditioner.uncond_vector").norm()), "lr": lr}
    row |= {"skipped": counts.bad, "overflows": counts.overflows, "missing_samples": counts.missing}
    seconds = time.perf_counter() - began
    return row | {"samples_per_second": config.batch_size / seconds, "data_wait": waited / seconds}, stop


def _accumulate(run: Run, step: FeedStep) -> tuple[NDArray[np.float64], list[str]]:
    """Add up the gradients of a rank's micro-batches.

    Returns:
        The rows of its samples, and the names of those whose loss is not finite.
    """
    config, ranks, engine = run.config, run.ranks, run.engine
    # The loss is the mean over the global batch. Samples that are skipped weigh nothing, so that the others of all
    # ranks are counted; DeepSpeed averages over ranks and micro-batches, which `shares` undoes.
    shares = ranks.world * len(step.batches)
    valid = float(config.batch_size)
    if config.bad_samples == "skip":
        valid = ranks.sum(sum(float(batch.weights.sum()) for batch in step.batches))
    rows: list[NDArray[np.float64]] = []
    odd: list[str] = []
    for number, micro in enumerate(step.batches):
        last = number == len(step.batches) - 1
        batch = run.prepare(micro)
        losses = engine.losses(batch)
        engine.backward(weighted_loss(losses.objective, batch.weights, valid=valid, shares=shares), last=last)
        rows.append(observe(batch, losses))
        odd += name_odd(batch, rows[-1])
        if not last:
            engine.between()
    return np.concatenate(rows), odd


def sample_grid(run: Run, score_pictures: PictureScorer) -> tuple[Pixels, GridScores] | None:
    """Draw the fixed samples as the model paints them now, by its moving average where one is kept, and score them.

    All ranks must take part; the first one paints and scores, and returns the grid. Scoring begins when the copy of the
    weights is gone that painting takes, and uses the exemplar encoder that the training holds for its export.
    """
    dataset = run.validation.dataset if run.validation else run.feed.dataset
    pictures = _paint_samples(run, dataset)
    if pictures is None:
        return None
    step, weights = run.counts.step, "moving average" if run.average else "raw weights"
    clip = run.frozen.clip
    tower, scores = clip.name if clip else None, score_pictures(pictures, clip)
    record = GridScores(step, dataset.split, weights, tower=tower, keys=pictures.keys, scores=scores)
    return draw_grid(pictures, note=f"step {step}, {weights}, {dataset.split} split"), record


def _paint_samples(run: Run, dataset: Dataset) -> GridPictures | None:
    """Paint the fixed samples of a split on the first rank; None: on the others, or what is painted is not finite."""
    config = run.config
    state = run.full_state(averaged=True)
    if not run.ranks.first:
        return None
    if run.grid_samples is None:
        bottleneck = run.engine.config.bottleneck
        run.grid_samples = load_grid_samples(run.feed.config, run.prepare, dataset, bottleneck=bottleneck)
    assert run.frozen.vae  # or the config would have been refused
    try:
        return paint_grid(
            run.engine.config,
            {name: value.to(run.ranks.device, TORCH_DTYPES[config.dtype]) for name, value in state.items()},
            run.frozen.vae.model,
            run.grid_samples,
            at_once=max(1, len(run.feed.slots[0]) // 2),
            seed=config.seed,
        )
    except NotFiniteError as error:
        run.ranks.say(f"step {run.counts.step}: no sample grid, the {error.part} gives numbers that are not finite")
        return None


@contextmanager
def stop_signals() -> Iterator[set[int]]:
    """Collect SIGTERM and SIGINT instead of dying from them; the ranks agree on the stop at the end of a step."""
    received: set[int] = set()
    old = {number: signal.signal(number, lambda n, _: received.add(n)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _next_on_all_ranks(source: Iterator[FeedStep], ranks: Ranks) -> FeedStep:
    """Read the next step, or stop on all ranks alike where one cannot read its part.

    Raises:
        InputError: a sample is damaged.
        OSError: storage went on failing.
    """
    step, fault = None, None
    try:
        step = next(source)
    except (InputError, OSError) as error:
        fault = error
    faults = 0.0 if ranks.world == 1 else ranks.sum(float(fault is not None))
    if faults:
        reports = [part for part in ranks.gather((isinstance(fault, OSError), str(fault)) if fault else None) if part]
        passing, message = reports[0]
        raise (OSError if passing else InputError)(message) from fault
    if fault:
        raise fault
    assert step
    return step


def _gather(rows: Any, stop: bool, ranks: Ranks) -> tuple[Observations, bool]:
    """Gather all samples' rows, and by the same message whether any rank is to stop."""
    flags = np.full((len(rows), 1), float(stop))
    gathered = ranks.gather_rows(np.concatenate([rows, flags], axis=1))
    return Observations(gathered[:, :-1]), bool(gathered[:, -1].any())


def _due(step: int, every: int, last: int) -> bool:
    return every > 0 and (step % every == 0 or step == last)


def _refuse_many_bad(run: Run, step: FeedStep, odd: list[str]) -> None:
    """Stop where losses or gradients are not finite too often.

    Args:
        odd: names of the samples of this step, of all ranks, whose loss is not finite.

    Raises:
        InputError: naming the samples.
    """
    config, counts = run.config, run.counts
    if counts.bad_in_a_row >= config.most_bad_in_a_row or counts.bad >= config.most_bad:
        keys = run.ranks.gather_all([key for batch in step.batches for key in batch.keys])
        batch = f"every loss is finite, their gradients are not (the batch: {', '.join(keys)})"
        raise InputError(
            f"step {counts.step}: loss or gradients are not finite for {counts.bad_in_a_row} steps in a row, "
            f"{counts.bad} in all; the weights from before are in the newest checkpoint. In this step "
            f"{say_odd(odd) if odd else batch}. All that is stored of these samples is finite: for the model, lower "
            "--lr, or use --dtype bf16 or fp32; exemplars and masked latents come from an encoder that runs live, CLIP "
            f"in {config.dtype}"
        )
