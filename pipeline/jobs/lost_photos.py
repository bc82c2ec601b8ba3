"""Lost photos: those of a job's finished units, read again -> the units that should be made anew.

A unit should be where one of its lost photos can be used now, and all its others are what they were: it would gain and
lose nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa
from tqdm import tqdm

from pipeline.ahead import work_ahead
from pipeline.errors import PhotoError
from pipeline.jobs.preparation import PreparedJob
from pipeline.photos.copies import refuse_other_copies
from pipeline.photos.fingerprints import photo_sha256
from pipeline.photos.id_forms import forms_of
from pipeline.planning.plan_files import read_unit_boxes, read_units
from pipeline.planning.tasks import PlannedPhoto, group_photos
from pipeline.shards.records import read_records
from pipeline.shards.totals import describe_counts
from pipeline.units.earlier_draws import OTHER_BYTES, EarlierDraws, read_earlier
from pipeline.units.planned_photos import decode_planned, fetch_planned

READERS = 16  # threads that wait for storage
READ_AHEAD = 32
SHOWN_UNITS = 10

Read = tuple[PlannedPhoto, bytes | PhotoError]
Fate = tuple[str, PhotoError | None]  # of a photo now: its id, and why it cannot be used


@dataclass(frozen=True)
class UnitFound:
    """What reading the lost photos of a unit again gave.

    Args:
        back: those that can be used now.
        still: the others, by reason.
        obstacle: another photo, which is not what it was: the unit must stay as it is.
    """

    unit: int
    back: list[str]
    still: Counter[str]
    obstacle: Fate | None

    def describe_obstacle(self) -> str:
        """Name the photo for which the unit stays, and what to do."""
        assert self.obstacle
        name, fault = self.obstacle
        more = f" and {len(self.back) - 1} more" if len(self.back) > 1 else ""
        return (
            f"unit {self.unit} stays as it is, without photo {self.back[0]}{more}: its photo {name} is not what it was "
            f"({fault}); put that back and run again with --retry-drops"
        )


def find_units(job: PreparedJob, *, say: Callable[[str], None]) -> tuple[int, ...]:
    """Read all lost photos again, say what became of them, and list the units that should be made anew.

    Raises:
        OSError: storage failed for a passing cause, after all retries.
        InputError: a record is damaged, or a photo that came back lies in several places that hold other bytes.
    """
    draws: dict[int, list[int]] = {}
    losing = set()
    lost = 0
    for record in read_records(job.out):
        draws.setdefault(record.unit, []).append(record.draw)
        if record.photos_lost:
            losing.add(record.unit)
            lost += record.photos_lost * (record.draw == draws[record.unit][0])
    found = []
    with tqdm(total=lost, desc="photos read again", unit=" photos", leave=False, delay=1) as bar:
        for one in _look_into(job, {unit: draws[unit] for unit in sorted(losing)}):
            found.append(one)
            bar.update(len(one.back) + one.still.total())
    back, still = sum(len(one.back) for one in found), sum((one.still for one in found), Counter[str]())
    reasons = f"; still lost: {describe_counts(still)}" if still else ""
    say(f"--retry-drops: lost photos read again: {back + still.total():,}, can be used now: {back:,}{reasons}")
    stuck = [one for one in found if one.obstacle]
    for one in stuck[:SHOWN_UNITS]:
        say(f"  {one.describe_obstacle()}")
    if len(stuck) > SHOWN_UNITS:
        say(f"  and {len(stuck) - SHOWN_UNITS:,} more units stay for such reasons")
    ids = pa.array([name for one in found if not one.obstacle for name in one.back], pa.string())
    if len(ids):  # which the plan may not have seen
        refuse_other_copies(job.store.places(forms_of(ids)), ids, anonymous=job.config.anonymous)
    return tuple(one.unit for one in found if one.back and not one.obstacle)


def _look_into(job: PreparedJob, draws: dict[int, list[int]]) -> Iterator[UnitFound]:
    """Look into units that lost photos.

    Args:
        draws: the finished ones of each.
    """
    places = {place["unit"]: place for place in read_units(job.out).to_pylist() if place["unit"] in draws}

    def open_unit(unit: int) -> tuple[EarlierDraws, list[PlannedPhoto]]:
        rows = read_unit_boxes(job.out, file=places[unit]["file"], row_group=places[unit]["row_group"])
        return read_earlier(job.out, unit, draws[unit]), group_photos(rows)

    with ExitStack() as pools:
        look = _Look(
            job,
            readers=pools.enter_context(ThreadPoolExecutor(READERS)),
            decoders=pools.enter_context(ThreadPoolExecutor(job.config.cpus_per_gpu)),
        )
        opener = pools.enter_context(ThreadPoolExecutor(READERS))
        for earlier, photos in work_ahead(opener, open_unit, draws, ahead=READERS):
            yield look.into_unit(earlier, photos)


@dataclass(frozen=True)
class _Look:
    """Reads photos and decodes them, as the job does."""

    job: PreparedJob
    readers: ThreadPoolExecutor
    decoders: ThreadPoolExecutor

    def into_unit(self, earlier: EarlierDraws, photos: list[PlannedPhoto]) -> UnitFound:
        """Read the lost photos of a unit again and, where one can be used, compare all others with its index."""
        fates = list(self._fates([photo for photo in photos if photo.image_id in earlier.lost], {}))
        back = [name for name, fault in fates if not fault]
        still = Counter(fault.reason for _, fault in fates if fault)
        others = [photo for photo in photos if back and photo.image_id not in earlier.lost]
        changed = (fate for fate in self._fates(others, earlier.sha256) if fate[1])
        return UnitFound(earlier.unit, back, still, next(changed, None))

    def _fates(self, photos: Iterable[PlannedPhoto], sha256: dict[str, str]) -> Iterator[Fate]:
        """Find what photos are now.

        Args:
            sha256: by id; equal bytes need not be decoded.
        """

        def judge(read: Read) -> Fate:
            photo, data = read
            name = photo.image_id
            if isinstance(data, PhotoError):
                return name, data
            if name in sha256:
                return name, None if photo_sha256(data) == sha256[name] else PhotoError(OTHER_BYTES)
            try:
                decode_planned(data, photo, self.job.config)
            except PhotoError as error:
                return name, error
            return name, None

        read = work_ahead(self.readers, self._read, photos, ahead=READ_AHEAD)
        return work_ahead(self.decoders, judge, read, ahead=2 * self.job.config.cpus_per_gpu)

    def _read(self, photo: PlannedPhoto) -> Read:
        try:
            return photo, fetch_planned(self.job.store, photo)
        except PhotoError as error:
            return photo, error
