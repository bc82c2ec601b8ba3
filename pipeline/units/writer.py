"""Units: the photos of one unit -> its shards, one a draw, with index, drops and record.

A pure function of the plan's rows, the photos' bytes, the encoders' weights and the seed: neither the number of
threads nor the order in which units run changes a byte.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.ahead import work_ahead
from pipeline.config import ShardConfig
from pipeline.draws.draw import DrawnSample, DrawRecipe, draw_sample
from pipeline.draws.exemplars import encode_jpeg
from pipeline.encoders.vae import ExemplarEncoder, SourceEncoder, blank_signed, signed
from pipeline.errors import DrawError, PhotoError
from pipeline.photos.decode import Photo, PhotoStore, decode_photo, perceptual_hash, photo_sha256
from pipeline.planning.plan import read_unit_boxes
from pipeline.shards.manifest import digest_of, read_recipe
from pipeline.shards.tars import Row, ShardWriter, publish_file, tensor_member
from pipeline.storage.folder import Folder
from schemas.drops import DROPS, Drop
from schemas.samples import EXEMPLAR_EXT, SOURCE_EXT, TENSORS_EXT, sample_key
from schemas.shards import (
    SCHEMA_VERSION,
    FileDigest,
    UnitRecord,
    drops_path,
    index_path,
    json_bytes,
    record_path,
    shard_path,
    unit_name,
)

READERS = 16  # threads that wait for storage; drawing has threads of its own
PHOTOS_READ_AHEAD = 32


@dataclass(frozen=True)
class UnitTask:
    """A unit, and the draws of it that are still to be made."""

    unit: int
    split: str
    photos: int
    file: str  # of the plan
    row_group: int
    draws: tuple[int, ...]


@dataclass(frozen=True)
class PlannedPhoto:
    """A photo of the plan; its boxes in the order in which draws take them."""

    image_id: str
    rotation: float | None
    archive: str | None
    archive_offset: int
    archive_size: int
    boxes: list[dict[str, Any]]  # box_id, label, box

    def box_of(self, draw: int) -> dict[str, Any]:
        """The box that a draw takes."""
        return self.boxes[draw % len(self.boxes)]


Drawer = Callable[[Photo, PlannedPhoto, int, DrawRecipe], DrawnSample]


def draw_planned_box(photo: Photo, planned: PlannedPhoto, draw: int, recipe: DrawRecipe) -> DrawnSample:
    """Draw one sample around the box that the plan gives the draw.

    Raises:
        DrawError: the draw cannot be made.
    """
    box = planned.box_of(draw)
    return draw_sample(photo, box["box"], recipe=recipe, image_id=planned.image_id, box_id=box["box_id"], draw=draw)


class OutputTakenError(Exception):
    """Another job writes this output now."""


class _Clock:
    """Adds up the seconds of each stage; they go to the summary, never into the dataset."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


@dataclass(frozen=True)
class ReadPhoto:
    """A photo's bytes, or the reason why there are none."""

    photo: PlannedPhoto
    data: bytes | PhotoError
    clock: _Clock


@dataclass(frozen=True)
class DrawnPhoto:
    """What a photo gave: a sample or the reason for none, by draw."""

    photo: PlannedPhoto
    facts: Row = field(default_factory=dict)  # of the index: size, orientation, hashes
    draws: dict[int, DrawnSample | PhotoError] = field(default_factory=dict)
    lost: PhotoError | None = None
    seconds: dict[str, float] = field(default_factory=dict)  # by stage


@dataclass(frozen=True)
class UnitWriter:
    """All that turning units into shards needs; made once, used for many units.

    Args:
        store: where photos are.
        class_names: label -> name.
        recipe_digest: of the dataset, stamped on each record.
        drawer: makes one draw of a photo.
    """

    config: ShardConfig
    out: Folder
    store: PhotoStore
    sources: SourceEncoder
    exemplars: ExemplarEncoder
    class_names: dict[str, str]
    recipe_digest: str
    threads: int
    drawer: Drawer = draw_planned_box

    def write(self, task: UnitTask) -> tuple[list[UnitRecord], dict[str, float]]:
        """Make the shards of a unit, publish them, and their records last.

        Returns:
            A record a draw, and the seconds spent by stage, summed over threads.

        Raises:
            OSError: storage failed for a passing cause; nothing of the unit counts as done.
        """
        photos = group_photos(read_unit_boxes(self.out, file=task.file, row_group=task.row_group))
        cv2.setNumThreads(1)
        with (
            self.out.scratch() as folder,
            ThreadPoolExecutor(READERS) as readers,
            ThreadPoolExecutor(self.threads) as pool,
        ):
            shards = {draw: _Shard(self, task, draw, folder) for draw in task.draws}

            lost_before = self._lost_before(task)

            def read(photo: PlannedPhoto) -> ReadPhoto:
                return self._read_photo(photo, lost_before.get(photo.image_id))

            def draw_all(read_photo: ReadPhoto) -> DrawnPhoto:
                return self._draw_photo(read_photo, task.draws)

            seconds: Counter[str] = Counter()
            read_photos = work_ahead(readers, read, photos, ahead=PHOTOS_READ_AHEAD)
            try:
                for drawn in work_ahead(pool, draw_all, read_photos, ahead=2 * self.threads):
                    seconds.update(drawn.seconds)
                    for shard in shards.values():
                        shard.add(drawn)
                records = [shard.finish(photos) for shard in shards.values()]
            finally:
                for shard in shards.values():
                    seconds.update(shard.seconds)
                    shard.discard()
            return records, dict(seconds)

    def refuse_foreign_output(self) -> None:
        """Look whether the output still belongs to this job's recipe: another may have started anew meanwhile.

        Raises:
            OutputTakenError: it does not.
        """
        found = read_recipe(self.out)
        if found is None or digest_of(found) != self.recipe_digest:
            raise OutputTakenError(f"{self.out.url}: belongs to another recipe now; this job must write no more")

    def _lost_before(self, task: UnitTask) -> dict[str, PhotoError]:
        """Photos that an earlier draw of the unit lost: lost they stay, or a dataset would count their boxes twice."""
        lost = {}
        for draw in range(task.draws[0]):
            drops = pq.read_table(pa.BufferReader(self.out.read(drops_path(task.unit, draw))), schema=DROPS)
            for drop in drops.to_pylist():
                if drop["stage"] == "photo":
                    lost[drop["image_id"]] = PhotoError(drop["reason"], drop["detail"])
        return lost

    def _read_photo(self, photo: PlannedPhoto, lost: PhotoError | None) -> ReadPhoto:
        """Read a photo's bytes, unless it is lost already."""
        clock = _Clock()
        if lost:
            return ReadPhoto(photo, lost, clock)
        try:
            with clock.stage("read"):
                data = self.store.fetch(
                    photo.image_id, archive=photo.archive, offset=photo.archive_offset, size=photo.archive_size
                )
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
                upright = decode_photo(
                    read.data,
                    rotation=photo.rotation,
                    boxes_frame=config.boxes_frame,
                    max_pixels=int(config.max_photo_megapixels * 1e6),
                    min_px=config.min_photo_px,
                )
                facts = _photo_facts(read.data, upright)
        except PhotoError as error:
            return DrawnPhoto(photo, lost=error, seconds=clock.seconds)
        recipe = DrawRecipe(config.seed, config.resolution, config.long_boxes, config.min_box_px)
        with clock.stage("draw"):
            outcomes = {draw: self._try_draw(upright, photo, draw, recipe) for draw in draws}
        return DrawnPhoto(photo, facts, outcomes, seconds=clock.seconds)

    def _try_draw(self, photo: Photo, planned: PlannedPhoto, draw: int, recipe: DrawRecipe) -> DrawnSample | PhotoError:
        try:
            return self.drawer(photo, planned, draw, recipe)
        except DrawError as error:
            return error


class _Shard:
    """The shard of one unit and draw in the making. Encode batches never cross it."""

    def __init__(self, writer: UnitWriter, task: UnitTask, draw: int, folder: Path) -> None:
        self._writer, self._task, self._draw = writer, task, draw
        self._drops_file = folder / f"{unit_name(task.unit, draw)}.drops.parquet"
        self._shard = ShardWriter(folder, unit_name(task.unit, draw))
        self._batch: list[tuple[Row, DrawnSample]] = []
        self._drops: list[Drop] = []
        self._lost: set[str] = set()
        self._clock = _Clock()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent by stage."""
        return self._clock.seconds

    def discard(self) -> None:
        """Let go of what is not finished."""
        self._shard.discard()

    def add(self, drawn: DrawnPhoto) -> None:
        """Take the next photo of the unit."""
        box = drawn.photo.box_of(self._draw)
        outcome = drawn.lost or drawn.draws[self._draw]
        if isinstance(outcome, PhotoError):
            if drawn.lost:
                self._lost.add(drawn.photo.image_id)
            self._drops.append(
                Drop(
                    stage="photo" if drawn.lost else "draw",
                    image_id=drawn.photo.image_id,
                    box_id=box["box_id"],
                    draw=self._draw,
                    reason=outcome.reason,
                    detail=outcome.detail,
                )
            )
            return
        self._batch.append((self._row(drawn, box, outcome), outcome))
        if len(self._batch) == self._writer.config.encode_batch:
            self._flush()

    def finish(self, photos: list[PlannedPhoto]) -> UnitRecord:
        """Publish shard, index and drops, then the record; leave what has a record already as it is."""
        self._flush()
        task, out = self._task, self._writer.out
        self._writer.refuse_foreign_output()
        if (finished := read_record(out, task.unit, self._draw)) is not None:
            return finished
        shard: FileDigest | None = None
        index: FileDigest | None = None
        if self._shard.samples:
            shard, index = self._shard.finish(
                out,
                shard=shard_path(task.split, task.unit, self._draw),
                index=index_path(task.split, task.unit, self._draw),
            )
        pq.write_table(pa.Table.from_pylist(self._drops, schema=DROPS), self._drops_file)
        kept = [photo for photo in photos if photo.image_id not in self._lost]
        record = UnitRecord(
            schema_version=SCHEMA_VERSION,
            recipe_digest=self._writer.recipe_digest,
            unit=task.unit,
            draw=self._draw,
            split=task.split,
            photos=len(photos),
            photos_lost=len(self._lost),
            planned=len(photos),
            samples=self._shard.samples,
            dropped=dict(sorted(Counter(f"{drop['stage']}/{drop['reason']}" for drop in self._drops).items())),
            boxes_kept=sum(len(photo.boxes) for photo in photos),
            boxes_drawn=sum(len(photo.boxes) > self._draw for photo in kept),
            boxes_lost=sum(len(photo.boxes) for photo in photos if photo.image_id in self._lost),
            shard=shard,
            index=index,
            drops=publish_file(out, self._drops_file, drops_path(task.unit, self._draw)),
        )
        assert record.planned == record.samples + sum(record.dropped.values()), record
        if out.create(record_path(task.unit, self._draw), json_bytes(asdict(record))):
            return record
        raise OutputTakenError(
            f"{record_path(task.unit, self._draw)}: another job has just written it, with other bytes; "
            "verify the dataset with ray_jobs/verify_shards.py"
        )

    def _flush(self) -> None:
        """Encode the batch and write its samples."""
        if not self._batch:
            return
        drawn = [sample for _, sample in self._batch]
        writer = self._writer
        with self._clock.stage("encode"):
            images = signed(np.stack([sample.source for sample in drawn]))
            masks: NDArray[np.uint8] = np.stack([sample.mask for sample in drawn])
            latents = writer.sources.encode(images)
            masked_latents = writer.sources.encode(blank_signed(images, masks))
            vectors = writer.exemplars.encode(np.stack([sample.exemplar for sample in drawn]))
        with self._clock.stage("write"):
            for position, (row, sample) in enumerate(self._batch):
                members = {
                    TENSORS_EXT: tensor_member(latents[position], masked_latents[position], vectors[position]),
                    EXEMPLAR_EXT: sample.exemplar_jpeg,
                }
                if writer.config.keep_source:
                    members[SOURCE_EXT] = encode_jpeg(sample.source)
                self._shard.write(row, members)
        self._batch = []

    def _row(self, drawn: DrawnPhoto, box: dict[str, Any], sample: DrawnSample) -> Row:
        """The sample's row, as schemas.samples.SAMPLE."""
        draw = sample.draw
        width, height = drawn.facts["photo_width"], drawn.facts["photo_height"]
        left, top, right, bottom = draw.crop.box
        x0, y0, x1, y1 = draw.box_px
        crop_width, crop_height = right - left, bottom - top
        in_crop = (
            (x0 - left) / crop_width,
            (y0 - top) / crop_height,
            (x1 - left) / crop_width,
            (y1 - top) / crop_height,
        )
        extended = np.array(draw.extended_px) / np.array([width, height, width, height])
        image_id, label = drawn.photo.image_id, box["label"]
        affine = sample.augmentation["affine_px"]
        degrees = sample.augmentation["rotate_degrees"]
        return {
            "key": sample_key(image_id, box["box_id"], self._draw),
            "image_id": image_id,
            "box_id": box["box_id"],
            "label": label,
            "label_name": self._writer.class_names.get(label, label),
            "split": self._task.split,
            "unit": self._task.unit,
            "draw": self._draw,
            "box_source": _float32(sample.box_source),
            "box": _float32(draw.box),
            "crop": list(draw.crop.box),
            "extended_box": _float32(extended),
            "box_in_crop": _float32(in_crop),
            "exemplar_box": list(draw.exemplar_px),
            "mask_shape": draw.mask_shape,
            "mask_polygon": _float32(draw.mask_polygon.ravel()),
            "fit": draw.crop.fit,
            "augmentation": {
                **sample.augmentation,
                "rotate_degrees": None if degrees is None else np.float32(degrees),
                "affine_px": None if affine is None else _float32(affine),
            },
            **drawn.facts,
        }


def read_record(out: Folder, unit: int, draw: int) -> UnitRecord | None:
    """Read the record of a unit and draw; None while it is not finished."""
    content = out.read_if_there(record_path(unit, draw))
    return UnitRecord.from_json(json.loads(content)) if content is not None else None


def group_photos(rows: pa.Table) -> list[PlannedPhoto]:
    """Gather PLANNED_BOXES, photo after photo, into photos."""
    photos: list[PlannedPhoto] = []
    for row in rows.to_pylist():
        if not photos or photos[-1].image_id != row["image_id"]:
            place = (row["archive"], row["archive_offset"] or 0, row["archive_size"] or 0)
            photos.append(PlannedPhoto(row["image_id"], row["rotation"], *place, boxes=[]))
        photos[-1].boxes.append({name: row[name] for name in ("box_id", "label", "box")})
    return photos


def _photo_facts(data: bytes, photo: Photo) -> Row:
    height, width = photo.pixels.shape[:2]
    return {
        "photo_width": width,
        "photo_height": height,
        "orientation": photo.orientation,
        "photo_sha256": photo_sha256(data),
        "photo_phash": perceptual_hash(photo.pixels),
    }


def _float32(values: Iterable[float]) -> list[np.float32]:
    return list(np.asarray(tuple(values), np.float32))
