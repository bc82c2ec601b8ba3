"""Plan: BOXES -> units of photos with their kept boxes, and the drops before units.

The plan decides everything that is random across photos: the order of photos (by seeded hash of their id), the split of
each, the unit it falls into, and the order in which its draws take its boxes. The rows are spilled into hash ranges
first, so that a photo's rows meet wherever they stand in the tables, and memory stays that of one range.
"""

import functools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ahead import work_ahead
from pipeline.photos.copies import Copies
from pipeline.photos.id_forms import IdForms
from pipeline.planning.box_fates import judge, write_drops
from pipeline.planning.hashing import hash_strings
from pipeline.planning.photo_order import cut_at_limit, photos_in_order, several_places
from pipeline.planning.plan_files import PLAN, PhotosIntoUnits
from pipeline.planning.row_counts import Judged, Plan, PlanInputs
from pipeline.planning.spilled_tables import spill_boxes, spill_denied, spill_places, spill_rotations
from pipeline.rng import seed_for
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from pipeline.storage.urls import filesystem
from schemas.plan import PLACES
from schemas.shards import BOX_DROPS

Places = Callable[[IdForms], Iterable[pa.Table]]

PARTITION_BYTES = 32 << 20
JUDGING_THREADS = 2


@dataclass(frozen=True)
class PlanDraft:
    """A finished plan that lies in scratch: nothing of the dataset has changed yet."""

    plan: Plan
    out: Folder
    drops: list[Path]
    files: list[Path]
    several_places: Path  # PLACES of planned photos that lie in several, as Arrow: a batch holds all of its photos
    anonymous: bool

    def compare_copies(self) -> None:
        """Count the planned photos that lie in several places; reads photos where these have one size.

        Raises:
            InputError: the places of a photo hold other bytes.
        """
        copies = Copies(self.anonymous)
        with pa.memory_map(str(self.several_places)) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                copies.compare(pa.Table.from_batches([reader.get_batch(number)]))
        copies.refuse()
        self.plan.photos_copied = copies.equal

    def first_drops(self, reason: str, count: int) -> list[tuple[str, str]]:
        """Give the first rows that were dropped for a reason: photo and box, and what the row holds."""
        found: list[tuple[str, str]] = []
        for file in self.drops if self.plan.malformed.get(reason) else ():
            table = table_from(file.read_bytes())
            drops = table.filter(pc.equal(table["reason"], reason)).slice(0, max(0, count - len(found)))
            found += [(f"photo {d['image_id']}, box {d['box_id']}", d["detail"]) for d in drops.to_pylist()]
        return found

    def publish(self) -> Plan:
        """Put the plan under `run/plan`, and the drops of its boxes under `drops`."""
        out = self.out
        out.delete(f"{PLAN}/key")  # first: a plan without its key is never taken up
        out.remove(PLAN)
        for name in out.names("drops"):
            if name.endswith(".parquet"):
                out.remove(f"drops/{name}")
        for part, file in enumerate(self.drops):
            out.publish(file, BOX_DROPS.format(part=part))
        for file in self.files:
            out.publish(file, f"{PLAN}/{file.name}")
        out.write_json(f"{PLAN}/plan.json", asdict(self.plan))
        return self.plan


def make_plan(
    inputs: PlanInputs,
    *,
    places: Places,
    out: Folder,
    progress: Callable[[int], None] = lambda rows: None,
) -> Plan:
    """Plan a dataset and publish the plan; see draft_plan."""
    with draft_plan(inputs, places=places, out=out, progress=progress) as draft:
        draft.compare_copies()
        return draft.publish()


@contextmanager
def draft_plan(
    inputs: PlanInputs,
    *,
    places: Places,
    out: Folder,
    progress: Callable[[int], None] = lambda rows: None,
) -> Iterator[PlanDraft]:
    """Plan a dataset, in scratch.

    Args:
        places: gives PLACES, of the ids that look like these; `PhotoStore.places` does.
        progress: called with the number of rows read so far.

    Raises:
        InputError: a table turns out unreadable, a row of --deny has another box than the tables, or --image-info turns
            a photo in two ways.
    """
    plan = Plan()
    partitions = max(1, min(4096, sum(_size(url, inputs.anonymous) for url in inputs.tables) // PARTITION_BYTES))
    with tempfile.TemporaryDirectory(prefix="pbe-plan-") as scratch, out.scratch() as built:
        # All tables are cut at the same hashes: what is known of a photo meets in one partition.
        folder = Path(scratch)
        hash_ids = functools.partial(hash_strings, salt=seed_for(inputs.seed, "plan"))
        boxes, wrong_width, forms = spill_boxes(inputs, plan, folder / "boxes", hash_ids, partitions, progress)
        rotations = spill_rotations(inputs, plan, folder / "rotations", hash_ids, partitions)
        denied = spill_denied(inputs, folder / "denied", hash_ids, partitions)
        known = spill_places(places(forms), folder / "places", hash_ids, partitions)
        drops = [built / f"drops-{part}.parquet" for part in range(partitions)]

        def judge_part(part: int) -> Judged:
            judged = judge(boxes.read(part), denied.read(part), inputs)
            write_drops(judged.drops, wrong_width if part == 0 else [], drops[part])
            here = known.read(part)
            kept = photos_in_order(judged.kept, rotations.read(part), here, inputs)
            return replace(judged, kept=kept, several_places=several_places(judged.kept, here))

        # Partitions rise with the hash: photos in the order of partitions are in the order of the plan.
        units, several = PhotosIntoUnits(built, inputs.photos_per_unit), folder / "several.arrow"
        with ThreadPoolExecutor(JUDGING_THREADS) as pool, pa.ipc.new_file(str(several), PLACES) as writer:
            for judged in work_ahead(pool, judge_part, range(partitions), ahead=JUDGING_THREADS):
                plan.add(judged)
                planned = cut_at_limit(judged.kept, inputs.limit, plan)
                units.add(planned)
                writer.write_table(_of_photos(judged.several_places, planned).combine_chunks())
        units.close()
        plan.units, plan.box_drop_files = units.count, partitions
        plan.check()
        yield PlanDraft(plan, out, drops, units.files, several, inputs.anonymous)


def _of_photos(places: pa.Table, planned: pa.Table) -> pa.Table:
    """Keep PLACES of planned photos."""
    return places.filter(pc.is_in(places["image_id"], value_set=planned["image_id"])) if len(places) else places


def _size(url: str, anonymous: bool) -> int:
    fs, path = filesystem(url, anonymous=anonymous)
    return int(fs.size(path) or 0)
