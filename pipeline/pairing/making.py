"""Making: the units of a pairs job -> results, on the threads of this process; see pipeline.jobs.workshop.Workshop."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

import torch

from pipeline.decoding.decode import Photo
from pipeline.draws.draw import DrawnSample, DrawRecipe
from pipeline.encoders.facts import EncoderFacts, facts_of
from pipeline.encoders.loading import load_encoders
from pipeline.encoders.protocols import Codec, ExemplarEncoder
from pipeline.errors import InputError
from pipeline.jobs.inputs import CheckedInputs
from pipeline.jobs.preparation import PreparedJob
from pipeline.jobs.workshop import UnitResult, make_unit
from pipeline.pairing.given_pictures import pair_drawer
from pipeline.pairing.store import PairStore
from pipeline.planning.tasks import PlannedPhoto, UnitTask
from pipeline.units.drawn_photos import Drawer
from pipeline.units.maker import UnitMaker

MOST_WORKERS = 4


class _StoppedError(Exception):
    """The job ends; what is not finished is left for the next run."""


class ThreadWorkshop:
    """Encoders in this process.

    Args:
        device: cpu or cuda.
        workers: units made at a time; on a GPU, threads that draw for the one unit. 0: one a CPU, but at most four.
    """

    def __init__(self, checked: CheckedInputs, store: PairStore, *, device: str, workers: int) -> None:
        self._checked, self._store, self.device = checked, store, device
        workers = workers or min(MOST_WORKERS, len(os.sched_getaffinity(0)))
        self._at_a_time, self._threads = (workers, 1) if device == "cpu" else (1, workers)
        self._encoders: tuple[Codec, ExemplarEncoder] | None = None

    def describe(self) -> str:
        return self.device

    def read_encoders(self) -> EncoderFacts:
        return facts_of(*self._load())

    def make(self, job: PreparedJob, tasks: list[UnitTask], *, check: Callable[[], None]) -> Iterator[UnitResult]:
        stopping = threading.Event()
        maker = self._maker(job, stopping)
        with ThreadPoolExecutor(self._at_a_time) as pool:
            calls = [pool.submit(make_unit, maker, task) for task in tasks]
            try:
                for call in as_completed(calls):
                    check()
                    yield call.result()
            except BaseException:
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _load(self) -> tuple[Codec, ExemplarEncoder]:
        config = self._checked.config
        self._encoders = self._encoders or load_encoders(
            config.vae, config.clip, device=self.device, dtype=config.dtype
        )
        return self._encoders

    def _maker(self, job: PreparedJob, stopping: threading.Event) -> UnitMaker:
        sources, exemplars = self._load()
        found = facts_of(sources, exemplars)
        if found != job.encoders:
            raise InputError(
                f"--vae, --exemplar-encoder: the weights have changed while the job began; {found.to_json()} now, "
                f"{job.encoders.to_json()} then; run the same command again"
            )
        return UnitMaker(
            job.config,
            job.out,
            job.store,
            sources,
            exemplars,
            job.class_names,
            job.recipe_digest,
            self._threads,
            drawer=_drawer_until(stopping, job, self._store),
            generation=job.intent.generation,
        )


@contextmanager
def open_threads(checked: CheckedInputs, store: PairStore, *, device: str, workers: int) -> Iterator[ThreadWorkshop]:
    """Make a workshop of this process's threads.

    Args:
        device: auto, cpu or cuda.

    Raises:
        InputError: there is no such device.
    """
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise InputError("--device cuda: torch sees no GPU here; give cpu or auto")
    chosen = "cuda" if device != "cpu" and there else "cpu"
    yield ThreadWorkshop(checked, store, device=chosen, workers=workers)


def _drawer_until(stopping: threading.Event, job: PreparedJob, store: PairStore) -> Drawer:
    """Draw pairs until the job stops: threads that nobody waits for should not go on drawing."""
    max_pixels, min_px = int(job.config.max_photo_megapixels * 1e6), job.config.min_photo_px
    draw_given = pair_drawer(store, max_pixels=max_pixels, min_px=min_px)

    def drawer(photo: Photo, planned: PlannedPhoto, draw: int, recipe: DrawRecipe) -> DrawnSample:
        if stopping.is_set():
            raise _StoppedError
        return draw_given(photo, planned, draw, recipe)

    return drawer
