"""One shard: the drawn photos of one unit and draw -> encoded samples -> shard, index, drops, record."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.config import ShardConfig
from pipeline.decoding.jpeg import encode_jpeg
from pipeline.draws.draw import DrawnSample
from pipeline.encoders.pixels import blank_signed, signed
from pipeline.encoders.protocols import Codec, ExemplarEncoder
from pipeline.errors import DrawError, PhotoError
from pipeline.hints import verify_command
from pipeline.planning.tasks import PlannedPhoto, UnitTask
from pipeline.shards.manifest import read_recipe
from pipeline.shards.recipe import digest_of
from pipeline.shards.records import read_record
from pipeline.shards.retry_intent import read_intent
from pipeline.shards.samples import Row, not_finite, tensor_member
from pipeline.storage.folder import Folder
from pipeline.units.drawn_photos import Clock, DrawnPhoto
from pipeline.units.rows import jitter_row, sample_row
from pipeline.units.tars import TarOfSamples, publish_file
from schemas.drops import DROPS, Drop
from schemas.samples import EXEMPLAR_EXT, SOURCE_EXT, TENSORS_EXT, index_schema
from schemas.shards import (
    FileDigest,
    UnitRecord,
    drops_path,
    index_path,
    json_bytes,
    record_path,
    schema_version,
    shard_path,
    unit_name,
)

NOT_FINITE = "not_finite"
_ENCODERS = {"latent": "VAE", "masked_latent": "VAE", "exemplar": "exemplar encoder"}


class OutputTakenError(Exception):
    """Another job writes this output now."""


def refuse_foreign_output(out: Folder, recipe_digest: str, generation: int) -> None:
    """Refuse an output that no longer belongs to this job's recipe: another job may have started anew meanwhile.

    Args:
        generation: of the output when this job began; a retry since then has begun to make units anew.

    Raises:
        OutputTakenError: it does not.
    """
    recipe = read_recipe(out)
    if recipe is None or digest_of(recipe) != recipe_digest:
        raise OutputTakenError(f"{out.url}: belongs to another recipe now; this job must not write to it any more")
    current = read_intent(out).generation
    if current != generation:
        raise OutputTakenError(
            f"{out.url}: is in its generation {current} since --retry-drops, this job is of {generation} and must not "
            "write to it any more"
        )


class OneShard:
    """The shard of one unit and draw in the making.

    Samples are encoded in batches that never cross it, or its bytes would depend on which units run together.

    Args:
        folder: a local scratch folder for files that are not published yet.
        out: the dataset.
        class_names: label -> name.
        recipe_digest: of the dataset, stamped on the record.
        generation: of the output when the job began.

    Attributes:
        encoded: how many samples have been encoded.
        not_finite: of how many of these a number is not finite, by what is not.
    """

    def __init__(
        self,
        task: UnitTask,
        draw: int,
        *,
        folder: Path,
        out: Folder,
        config: ShardConfig,
        sources: Codec,
        exemplars: ExemplarEncoder,
        class_names: dict[str, str],
        recipe_digest: str,
        generation: int,
    ) -> None:
        self._task, self._draw, self._out = task, draw, out
        self._config, self._sources, self._exemplars = config, sources, exemplars
        self._class_names, self._recipe_digest, self._generation = class_names, recipe_digest, generation
        self._drops_file = folder / f"{unit_name(task.unit, draw)}.drops.parquet"
        self._tar = TarOfSamples(folder, unit_name(task.unit, draw), index_schema(config.colour_jitter))
        self._batch: list[tuple[DrawnPhoto, Row, DrawnSample]] = []
        self._drops: list[Drop] = []
        self._lost: set[str] = set()
        self._jittered = 0
        self._clock = Clock()
        self.encoded = 0
        self.not_finite: Counter[str] = Counter()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent by stage."""
        return self._clock.seconds

    def discard(self) -> None:
        """Give up what is not finished."""
        self._tar.discard()

    def add(self, drawn: DrawnPhoto) -> None:
        """Take the next photo of the unit: its draw becomes a sample or a drop."""
        outcome = drawn.lost or drawn.draws[self._draw]
        if isinstance(outcome, PhotoError):
            self._drop(drawn, outcome)
            return
        label = drawn.photo.box_of(self._draw)["label"]
        label_name = self._class_names.get(label, label)
        row = sample_row(drawn, outcome, task=self._task, draw=self._draw, label_name=label_name)
        if self._config.colour_jitter:
            row["jitter"] = jitter_row(outcome)
        self._batch.append((drawn, row, outcome))
        if len(self._batch) == self._config.encode_batch:
            self.flush()

    def flush(self) -> None:
        """Encode the samples that wait for their batch, and write them; what is not finite becomes a drop."""
        if not self._batch:
            return
        samples = [sample for _, _, sample in self._batch]
        with self._clock.stage("encode"):
            images = signed(np.stack([sample.source for sample in samples]))
            masks: NDArray[np.uint8] = np.stack([sample.mask for sample in samples])
            latents = self._sources.encode(images)
            masked_latents = self._sources.encode(blank_signed(images, masks))
            vectors = self._exemplars.encode(np.stack([sample.exemplar for sample in samples]))
        with self._clock.stage("write"):
            for position, (drawn, row, sample) in enumerate(self._batch):
                self.encoded += 1
                arrays = {
                    "latent": latents[position],
                    "masked_latent": masked_latents[position],
                    "exemplar": vectors[position],
                }
                if fault := self._find_fault(arrays):
                    self.not_finite[fault] += 1
                    self._drop(drawn, DrawError(NOT_FINITE, fault))
                    continue
                members = {TENSORS_EXT: tensor_member(**arrays), EXEMPLAR_EXT: sample.exemplar_jpeg}
                if self._config.keep_source:
                    members[SOURCE_EXT] = encode_jpeg(sample.source)
                self._tar.add(row, members)
                self._jittered += sample.draw.jitter is not None
        self._batch = []

    def finish(self, photos: list[PlannedPhoto]) -> UnitRecord:
        """Publish shard, index and drops, then the record; leave what has a record already as it is.

        Args:
            photos: all of the unit; their samples have been flushed.

        Raises:
            OutputTakenError: another job writes here now.
        """
        task, out = self._task, self._out
        refuse_foreign_output(out, self._recipe_digest, self._generation)
        if (finished := read_record(out, task.unit, self._draw)) is not None:
            return finished
        shard: FileDigest | None = None
        index: FileDigest | None = None
        if self._tar.samples:
            shard, index = self._tar.finish(
                out,
                shard=shard_path(task.split, task.unit, self._draw),
                index=index_path(task.split, task.unit, self._draw),
            )
        else:  # a killed job may have left them, while the photos were still there
            for path in (shard_path, index_path):
                out.delete(path(task.split, task.unit, self._draw))
        pq.write_table(pa.Table.from_pylist(self._drops, schema=DROPS), self._drops_file)
        drops = publish_file(out, self._drops_file, drops_path(task.unit, self._draw))
        record = self._make_record(photos, shard=shard, index=index, drops=drops)
        if out.create(record_path(task.unit, self._draw), json_bytes(record.to_json())):
            return record
        raise OutputTakenError(
            f"{record_path(task.unit, self._draw)}: another job has just written it, with other bytes; "
            f"run `{verify_command(out.url)}`"
        )

    def _find_fault(self, arrays: Mapping[str, NDArray[np.float16]]) -> str:
        """Say which arrays of a sample hold numbers that are not finite; empty where none does."""
        odd = {name: value for name, array in arrays.items() if (value := not_finite(array))}
        parts = [f"{name} of the {_ENCODERS[name]} in {self._config.dtype}: {value}" for name, value in odd.items()]
        return "; ".join(parts)

    def _drop(self, drawn: DrawnPhoto, error: PhotoError) -> None:
        if drawn.lost:
            self._lost.add(drawn.photo.image_id)
        self._drops.append(
            Drop(
                stage="photo" if drawn.lost else "draw",
                image_id=drawn.photo.image_id,
                box_id=drawn.photo.box_of(self._draw)["box_id"],
                draw=self._draw,
                reason=error.reason,
                detail=error.detail,
            )
        )

    def _make_record(
        self, photos: list[PlannedPhoto], *, shard: FileDigest | None, index: FileDigest | None, drops: FileDigest
    ) -> UnitRecord:
        """Count what became of the unit's photos, boxes and draws."""
        lost = [photo for photo in photos if photo.image_id in self._lost]
        kept = [photo for photo in photos if photo.image_id not in self._lost]
        record = UnitRecord(
            schema_version=schema_version(self._config.colour_jitter),
            recipe_digest=self._recipe_digest,
            unit=self._task.unit,
            draw=self._draw,
            split=self._task.split,
            photos=len(photos),
            photos_lost=len(lost),
            planned=len(photos),
            samples=self._tar.samples,
            dropped=dict(sorted(Counter(f"{drop['stage']}/{drop['reason']}" for drop in self._drops).items())),
            boxes_kept=sum(len(photo.boxes) for photo in photos),
            # Draw d takes box d modulo their number: it is the first to take one where there are more than d.
            boxes_drawn=sum(len(photo.boxes) > self._draw for photo in kept),
            boxes_lost=sum(len(photo.boxes) for photo in lost),
            shard=shard,
            index=index,
            drops=drops,
            jittered=self._jittered if self._config.colour_jitter else None,
        )
        assert record.planned == record.samples + sum(record.dropped.values()), record
        return record
