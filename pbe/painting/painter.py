"""Painter: what a visitor asks for -> previews step by step, then pictures and what to keep of them."""

import queue
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from pbe.editing.canvas import blend
from pbe.editing.case_table import read_cases
from pbe.editing.config import EditConfig
from pbe.editing.editor import Editor, Task
from pbe.editing.figure import shrink
from pbe.editing.inputs import read_case
from pbe.editing.outputs import find_outputs, record_name
from pbe.editing.records import digest_inputs, write_record
from pbe.editing.run import paint_case, prepare_case, settings_of
from pbe.model.sampler import make_scheduler
from pbe.painting.asked import Asked, lay_out
from pbe.painting.download import command_again, pack
from pipeline.arrays import Pixels
from pipeline.decoding.colour import on_backdrop
from pipeline.encoders.pixels import byte_pixels

PREVIEW_PX = 768
PREVIEW_SHARE = 0.2  # of the time goes into previews, at most
PREVIEW_SECONDS = 0.25  # between two, at least: a browser shows no more


@dataclass(frozen=True)
class Seen:
    """How far a painting is."""

    step: int
    steps: int
    previews: list[Pixels] | None = None
    """The photo as its pictures look now, shrunk; None: as before."""


@dataclass(frozen=True)
class Painted:
    """A finished painting; its files go with its folder."""

    pictures: dict[str, Path]
    """By what to call them."""
    download: Path
    command: str
    """Makes the same pictures from what the download holds."""
    seconds: float


class Stopped(Exception):
    """Nobody waits for this painting any longer."""


class Painter:
    """A loaded model; it paints for one visitor at a time.

    Args:
        base: flags of `pbe.edit` that all paintings have in common.
    """

    def __init__(self, editor: Editor, base: EditConfig) -> None:
        self._editor, self._base = editor, base
        self._one_at_a_time = threading.Lock()
        self._ended = threading.Event()

    def paint(self, asked: Asked, folder: Path) -> Iterator[Seen | Painted]:
        """Paint into an empty folder, in a thread of its own: closing the iterator stops it after its current step.

        The folder of an iterator that was closed early goes with it, at the latest when the thread ends.

        Raises:
            InputError: what is asked for cannot be painted.
        """
        came: queue.SimpleQueue[Seen | Painted | BaseException] = queue.SimpleQueue()
        left = threading.Event()
        work = threading.Thread(target=self._work, args=(asked, folder, came, left), name="painting", daemon=True)
        work.start()
        item: Seen | Painted | BaseException | None = None
        try:
            while not isinstance(item, Painted):
                item = came.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            if not isinstance(item, Painted):
                left.set()

    def end(self) -> None:
        """Stop whatever is being painted, after its current step."""
        self._ended.set()
        with self._one_at_a_time:
            pass

    def _work(
        self,
        asked: Asked,
        folder: Path,
        came: "queue.SimpleQueue[Seen | Painted | BaseException]",
        left: threading.Event,
    ) -> None:
        try:
            with self._one_at_a_time:
                try:
                    came.put(self._paint(asked, folder, came, left))
                finally:
                    if left.is_set():  # who removed the folder may have done so before the last file was written
                        shutil.rmtree(folder, ignore_errors=True)
        except BaseException as error:  # the thread that waits raises it
            came.put(error)

    def _paint(
        self,
        asked: Asked,
        folder: Path,
        came: "queue.SimpleQueue[Seen | Painted | BaseException]",
        left: threading.Event,
    ) -> Painted:
        began = time.monotonic()
        self._stop_for_nobody(left)
        config = lay_out(asked, folder, self._base)
        outputs = find_outputs(config)
        [case], _ = read_cases(config)
        given = read_case(case)
        task = prepare_case(self._editor, case, given, config)
        previews = Previews(self._editor, task, config)
        steps = len(make_scheduler(config.scheduler, steps=config.steps).timesteps)
        taken = 0

        def on_step(clean: torch.Tensor) -> None:
            nonlocal taken
            self._stop_for_nobody(left)
            taken += 1
            came.put(Seen(taken, steps, previews.look(clean)))

        made = paint_case(self._editor, case, task, config, on_step=on_step)
        self._stop_for_nobody(left)
        names = {place: case.file(*place, outputs.suffix) for place in made}
        for place, picture in made.items():
            outputs.write_picture(names[place], picture, given.carried)
        settings = settings_of(config, self._editor)
        write_record(outputs, case, settings, digest_inputs(case), model_note=self._editor.parts.note)
        pictures = {f"seed {seed}": folder / names[scale, seed] for scale, seed in made}
        download = pack(folder, list(names.values()), record_name(case))
        return Painted(pictures, download, command_again(config), time.monotonic() - began)

    def _stop_for_nobody(self, left: threading.Event) -> None:
        """Stop a painting whose visitor has left, or whose page has ended.

        Raises:
            Stopped: it is one.
        """
        if left.is_set() or self._ended.is_set():
            raise Stopped


class Previews:
    """What a painting looks like on its way, as often as it costs little."""

    def __init__(self, editor: Editor, task: Task, config: EditConfig) -> None:
        self._editor, self._task, self._config = editor, task, config
        self._next = 0.0

    def look(self, clean: torch.Tensor) -> list[Pixels] | None:
        """Decode latents [b, c, h, w] and put them into the photo; None: the last look is not long enough ago."""
        began = time.monotonic()
        if began < self._next:
            return None
        crops = byte_pixels(self._editor.codec.decode(clean).nan_to_num())
        task = self._task
        pictures = [
            shrink(on_backdrop(blend(task.source, crop, task.mask, task.crop, how=self._config.how)), PREVIEW_PX)
            for crop in crops
        ]
        ended = time.monotonic()
        self._next = ended + max(PREVIEW_SECONDS, (ended - began) * (1 / PREVIEW_SHARE - 1))
        return pictures
