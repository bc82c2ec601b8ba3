"""Units: the photos of one unit -> its shards, one a draw, with index, drops and record.

A pure function of the plan's rows, the photos' bytes, the encoders' weights and the seed: neither the number of
threads nor the order in which units run changes a byte.
"""

from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2

from pipeline.ahead import work_ahead
from pipeline.config import ShardConfig
from pipeline.decoding.decode import Photo
from pipeline.draws.draw import DrawnSample, DrawRecipe
from pipeline.encoders.protocols import Codec, ExemplarEncoder
from pipeline.errors import DrawError, PhotoError
from pipeline.photos.store import PhotoStore
from pipeline.planning.plan_files import read_unit_boxes
from pipeline.planning.tasks import PlannedPhoto, UnitTask, group_photos
from pipeline.storage.folder import Folder
from pipeline.units.drawn_photos import Clock, Drawer, DrawnPhoto, ReadPhoto, draw_planned_box
from pipeline.units.earlier_draws import read_earlier
from pipeline.units.one_shard import OneShard
from pipeline.units.planned_photos import decode_planned, fetch_planned
from pipeline.units.rows import photo_facts
from schemas.shards import UnitRecord

MOST_NOT_FINITE = 0.05  # of the samples of a unit
READERS = 16  # threads that wait for storage; drawing has threads of its own
PHOTOS_READ_AHEAD = 32


class NotFiniteError(Exception):
    """So many samples of a unit are not finite that its encoders are at fault, not its photos."""


@dataclass(frozen=True)
class UnitMaker:
    """All that turning units into shards needs; made once, used for many units.

    Args:
        store: where photos are.
        class_names: label -> name.
        recipe_digest: of the dataset, stamped on each record.
        drawer: makes one draw of a photo.
        generation: of the output when the job began; see pipeline.shards.retry_intent.
    """

    config: ShardConfig
    out: Folder
    store: PhotoStore
    sources: Codec
    exemplars: ExemplarEncoder
    class_names: dict[str, str]
    recipe_digest: str
    threads: int
    drawer: Drawer = draw_planned_box
    generation: int = 0

    def make(self, task: UnitTask) -> tuple[list[UnitRecord], dict[str, float]]:
        """Make the shards of a unit, publish them, and their records last.

        Returns:
            A record a draw, and the seconds spent by stage, summed over threads.

        Raises:
            OSError: storage failed for a passing cause; nothing of the unit counts as done.
            NotFiniteError: too many samples are not finite.
            InputError: a photo that finished draws hold is gone, or another now.
        """
        photos = group_photos(read_unit_boxes(self.out, file=task.file, row_group=task.row_group))
        import pipeline.draws.transforms  # noqa: F401  takes seconds, which must not count as drawing

        cv2.setNumThreads(1)
        with (
            self.out.scratch() as folder,
            ThreadPoolExecutor(READERS) as readers,
            ThreadPoolExecutor(self.threads) as pool,
        ):
            shards = {draw: self._begin_shard(task, draw, folder) for draw in task.draws}

            # Those to be made, too: an actor that had this unit before may have died after the record of one.
            earlier = read_earlier(self.out, task.unit, (*task.finished, *task.draws))

            def read(photo: PlannedPhoto) -> ReadPhoto:
                return self._read_photo(photo, earlier.lost.get(photo.image_id))

            def draw_all(read_photo: ReadPhoto) -> DrawnPhoto:
                drawn = self._draw_photo(read_photo, task.draws)
                sha256 = drawn.facts.get("photo_sha256", "")
                earlier.refuse_change(drawn.photo.image_id, sha256=sha256, lost=drawn.lost)
                return drawn

            seconds: Counter[str] = Counter()
            read_photos = work_ahead(readers, read, photos, ahead=PHOTOS_READ_AHEAD)
            try:
                for drawn in work_ahead(pool, draw_all, read_photos, ahead=2 * self.threads):
                    seconds.update(drawn.seconds)
                    for shard in shards.values():
                        shard.add(drawn)
                    _refuse_not_finite(shards.values(), of=len(photos) * len(shards), dtype=self.config.dtype)
                for shard in shards.values():
                    shard.flush()
                _refuse_not_finite(
                    shards.values(), of=sum(shard.encoded for shard in shards.values()), dtype=self.config.dtype
                )
                records = [shard.finish(photos) for shard in shards.values()]
            finally:
                for shard in shards.values():
                    seconds.update(shard.seconds)
                    shard.discard()
            return records, dict(seconds)

    def _begin_shard(self, task: UnitTask, draw: int, folder: Path) -> OneShard:
        return OneShard(
            task,
            draw,
            folder=folder,
            out=self.out,
            config=self.config,
            sources=self.sources,
            exemplars=self.exemplars,
            class_names=self.class_names,
            recipe_digest=self.recipe_digest,
            generation=self.generation,
        )

    def _read_photo(self, photo: PlannedPhoto, lost: PhotoError | None) -> ReadPhoto:
        """Read a photo's bytes, unless it is lost already."""
        clock = Clock()
        if lost:
            return ReadPhoto(photo, lost, clock)
        try:
            with clock.stage("read"):
                data = fetch_planned(self.store, photo)
        except PhotoError as error:
            return ReadPhoto(photo, error, clock)
        return ReadPhoto(photo, data, clock)

    def _draw_photo(self, read: ReadPhoto, draws: tuple[int, ...]) -> DrawnPhoto:
        """Decode a photo once, and make all its draws."""
        photo, clock, config = read.photo, read.clock, self.config
        if isinstance(read.data, PhotoError):
            return DrawnPhoto(photo, lost=read.data, seconds=clock.seconds)
        try:
            with clock.stage("decode"):
                upright = decode_planned(read.data, photo, config)
                facts = photo_facts(read.data, upright)
        except PhotoError as error:
            return DrawnPhoto(photo, lost=error, seconds=clock.seconds)
        recipe = DrawRecipe(config.seed, config.resolution, config.long_boxes, config.min_box_px, config.colour_jitter)
        with clock.stage("draw"):
            outcomes = {draw: self._try_draw(upright, photo, draw, recipe) for draw in draws}
        return DrawnPhoto(photo, facts, outcomes, seconds=clock.seconds)

    def _try_draw(self, photo: Photo, planned: PlannedPhoto, draw: int, recipe: DrawRecipe) -> DrawnSample | PhotoError:
        try:
            return self.drawer(photo, planned, draw, recipe)
        except DrawError as error:
            return error


def _refuse_not_finite(shards: Collection[OneShard], *, of: int, dtype: str) -> None:
    """Refuse a unit in which more samples than a few odd photos give are not finite.

    Args:
        of: how many samples are being made, or the most that they can be.

    Raises:
        NotFiniteError: they are; says of which encoder, and what to try.
    """
    faults = sum((shard.not_finite for shard in shards), Counter[str]())
    if faults and (faults.total() == of or faults.total() > max(1, MOST_NOT_FINITE * of)):
        fault = faults.most_common(1)[0][0].partition(";")[0]
        raise NotFiniteError(
            f"{faults.total()} of {of} samples are not finite ({fault}): an encoder is at fault; give "
            f"{'' if dtype == 'float32' else '--dtype float32, or '}one whose numbers fit float16, in which shards "
            "hold them, such as the VAE madebyollin/sdxl-vae-fp16-fix"
        )
