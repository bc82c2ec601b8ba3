"""Run: flags -> overlap.parquet, overlap.json and overlap.jpg. Running the same command again finishes the work."""

import hashlib
import io
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from pbe.evaluation.overlap.blocks import (
    BLOCK_PHOTOS,
    PART_PHOTOS,
    Block,
    Search,
    compare_sides,
    count_parts,
    search_name,
)
from pbe.evaluation.overlap.config import LeaksConfig
from pbe.evaluation.overlap.control import MOST_PHOTOS, measure_control
from pbe.evaluation.overlap.facts import OverlapFacts, SideFacts
from pbe.evaluation.overlap.flickr import flickr_ids, join
from pbe.evaluation.overlap.pairs import shared_names, tabulate
from pbe.evaluation.overlap.sheet import draw_sheet
from pbe.evaluation.overlap.sides import Side, list_bench, list_dataset, list_named, list_photos
from pipeline.errors import InputError
from pipeline.hints import short_path
from pipeline.photos.store import PhotoStore
from pipeline.storage.folder import Folder
from pipeline.storage.redaction import redact
from pipeline.storage.urls import absolute_output
from schemas.overlap import BLOCKS, OVERLAP_FACTS, OVERLAP_SHEET, OVERLAP_TABLE

ListTable = Callable[[str], Mapping[str, str]]
"""The CSV of a table of cases -> its pictures: name -> path or URL."""
NAMES_KEPT = 100  # of photos lost for one reason
NAMES_SHOWN = 5
ROW_OF = "{side}: {count:,} photos not compared: {reason} ({names}{more})"


def say(line: str) -> None:
    """Print a line at once, without credentials."""
    print(redact(line), flush=True)


@dataclass(frozen=True)
class _Sides:
    training: Side
    other: Side
    training_ids: dict[str, int]
    other_ids: dict[str, int]


def find_leaks(config: LeaksConfig, *, list_table: ListTable) -> int:
    """Search, write what was found and say it; return the exit code, 0 also where photos are shared.

    Args:
        list_table: gives the pictures of a bench that is a table of cases.
    """
    began = time.monotonic()
    out = Folder(absolute_output("--out", config.out))
    sides = _list_sides(config, list_table)
    cv2.setNumThreads(1)  # photos are worked on side by side
    total = count_parts(sides.other, PART_PHOTOS) * len(sides.training.photos)
    total += sum(min(MOST_PHOTOS, len(side.photos)) for side in (sides.training, sides.other))
    with (
        ThreadPoolExecutor(config.workers) as pool,
        tqdm(desc="comparing photos", total=total, unit=" photos", smoothing=0.05) as bar,
    ):
        search = Search(out, search_name(sides.training, sides.other), pool, config.workers)
        streamed, parts = compare_sides(search, sides.training, sides.other, advance=bar.update)
        control = measure_control(search, (sides.training, sides.other), advance=bar.update)
    table = tabulate(sides.training, streamed, join(sides.training_ids, sides.other_ids))
    shared, elsewhere = shared_names(table)
    first = streamed[: count_parts(sides.training, BLOCK_PHOTOS)]  # later parts see the same photos again
    facts = OverlapFacts(
        training=_side_facts(sides.training, first, sides.training_ids),
        other=_side_facts(sides.other, parts, sides.other_ids),
        is_bench=bool(config.bench),
        shared=shared,
        elsewhere=elsewhere,
        pairs=len(table),
        hits=sum(block.hits for block in streamed),
        aligned=sum(block.aligned for block in streamed),
        plain=sum(block.plain for block in streamed),
        control=control,
    )
    _write(out, facts, table, sides)
    for line in end_lines(facts, out.url, seconds=time.monotonic() - began):
        say(line)
    return 0


def _list_sides(config: LeaksConfig, list_table: ListTable) -> _Sides:
    """List both sides, and read what is known of their Flickr ids."""
    say("listing the photos")
    store = _open_store("--photos", config.photos, anonymous=config.anonymous)
    training = list_dataset(config.dataset, store) if config.dataset else list_photos("--photos", store)
    if config.against:
        other = list_dataset(config.against, store)
    elif config.bench.lower().endswith(".csv"):
        other = list_named(config.bench, list_table(config.bench), anonymous=config.anonymous)
    else:
        other = list_bench(config.bench, lambda place: _open_store("--bench", (place,), anonymous=config.anonymous))
    ids = []
    for side, tables in ((training, config.image_info), (other, config.bench_info)):
        found: dict[str, int] = {}
        for table in tables:
            found |= flickr_ids(table, set(side.photos["name"].to_pylist()), anonymous=config.anonymous)
        ids.append(found)
        known = f", Flickr ids of {len(found):,} of them" if tables else ""
        say(f"{side.label}: {len(side.photos):,} photos{known}")
    return _Sides(training, other, *ids)


def _open_store(flag: str, roots: tuple[str, ...], *, anonymous: bool) -> PhotoStore:
    try:
        return PhotoStore(roots, anonymous=anonymous)
    except InputError as error:
        raise InputError(str(error).replace("--images", flag)) from error  # the shard job's name of the same flag


def _side_facts(side: Side, blocks: Sequence[Block], ids: dict[str, int]) -> SideFacts:
    lost = [pair for block in blocks for pair in block.lost]
    counts = dict(sorted(Counter(reason for _, reason in lost).items()))
    names = {reason: tuple(name for name, why in lost if why == reason)[:NAMES_KEPT] for reason in counts}
    photos = len(side.photos)
    digest = hashlib.sha256("".join(block.digest for block in blocks).encode()).hexdigest()[:16]
    return SideFacts(side.label, photos, photos - len(lost), digest, len(ids), counts, names)


def _write(out: Folder, facts: OverlapFacts, table: pa.Table, sides: _Sides) -> None:
    """Write the table, the sheet where there is a pair to show, and last the facts."""
    content = io.BytesIO()
    pq.write_table(table, content)
    out.write(OVERLAP_TABLE, content.getvalue())
    if len(table):
        out.write(OVERLAP_SHEET, draw_sheet(table, sides.training, sides.other))
    else:
        out.delete(OVERLAP_SHEET)
    out.write(OVERLAP_FACTS, facts.to_json())


def end_lines(facts: OverlapFacts, out: str, *, seconds: float) -> list[str]:
    """Say what was found, and what to do next."""
    lines = []
    for side in (facts.training, facts.other):
        for reason, count in side.unreadable.items():
            names = side.unreadable_names[reason][:NAMES_SHOWN]
            more = " ..." if count > len(names) else ""
            lines.append(ROW_OF.format(side=side.label, count=count, reason=reason, names=", ".join(names), more=more))
    if facts.plain:
        lines.append(f"{facts.plain:,} pairs have like hashes, but show too little to tell whether they are one photo")
    lines.append(
        f"{facts.hits:,} pairs have like hashes, of which {facts.aligned:,} were aligned; {facts.control.describe()}"
    )
    if facts.elsewhere:
        lines.append(f"{len(facts.elsewhere):,} photos are only in a split that is not trained on")
    lines.append(f"LEAKED: {facts.banner()}" if facts.shared else facts.banner())
    place = short_path(out)
    looked = f"; look at the pairs: {place}/{OVERLAP_SHEET}" if facts.pairs else ""
    lines.append(f"{seconds:.0f} s: {place}/{OVERLAP_TABLE}{looked}; {place}/{BLOCKS} may be removed")
    if facts.shared:
        lines.append(
            "next: leave these photos out of the bench, or of the training (shard_openimages --deny their boxes)"
        )
    return lines
