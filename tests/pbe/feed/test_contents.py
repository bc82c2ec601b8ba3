from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbe.feed.config import FeedConfig
from pbe.feed.contents import Contents, ShardRow, differing_shards, read_contents, shard_rows, shard_table
from pbe.feed.order import Position
from pbe.feed.training_feed import Feed
from pipeline.errors import InputError
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder
from schemas.shards import unit_name
from tests.pbe.feed.feeds import COUNTS, assert_equal, joined, take
from tests.synthetic import write_synthetic

PLACES = st.dictionaries(st.tuples(st.integers(0, 9), st.integers(0, 3)), st.sampled_from(["one", "other"]), max_size=5)


def rows_of(shards: dict[tuple[int, int], str]) -> list[ShardRow]:
    place = {"name": "s", "split": "train", "samples": 1, "bytes": 1}
    return [{**place, "unit": unit, "draw": draw, "sha256": sha256} for (unit, draw), sha256 in shards.items()]


@given(PLACES, PLACES)
def test_each_shard_that_changed_came_or_went_is_named_and_no_other(
    before: dict[tuple[int, int], str], now: dict[tuple[int, int], str]
) -> None:
    expected = {
        "changed": sorted(place for place in before.keys() & now.keys() if before[place] != now[place]),
        "came": sorted(now.keys() - before.keys()),
        "went": sorted(before.keys() - now.keys()),
    }
    kept = shard_rows(shard_table(rows_of(before)))
    said = differing_shards(kept, rows_of(now))
    named = {part.partition(": ")[0]: part.partition(": ")[2].split(", ") for part in said.split("; ") if part}
    assert named == {what: [unit_name(*place) for place in places] for what, places in expected.items() if places}
    many = rows_of({(unit, 0): "one" for unit in range(2000)})
    assert differing_shards([], many).endswith(", 000005-d00 and 1,994 more")


def contents_of(out: Path | str, draws: int = 0) -> Contents:
    return read_contents(Folder(str(out)), read_manifest(Folder(str(out))), draws=draws)


@pytest.mark.heavy
@pytest.mark.parametrize("place", ["local", "s3"])
def test_more_draws_leave_the_batches_the_digest_and_the_positions_of_the_first_ones(
    config: FeedConfig, synthetic: Path, tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    write_synthetic(tmp_path, COUNTS[:2])
    grown = request.getfixturevalue("bucket") if place == "s3" else str(synthetic)
    before, now = Feed(replace(config, data=str(tmp_path))), Feed(replace(config, data=grown, draws=2))
    steps = [[batch for step in take(feed, 12) for batch in step.batches] for feed in (now, before)]
    assert_equal(*map(joined, steps))  # 12 steps: the third epoch takes draw 0 again
    state = before.state(Position(1, 2))
    assert now.state(now.resume(state)) == state
    assert now.dataset.contents.describe() == "draws 0..1 of 3; another --out takes all"
    assert (
        contents_of(grown, 1).describe() == "draw 0 of 3; another --out takes all" and not contents_of(grown).describe()
    )
    with pytest.raises(InputError, match=r"made with dataset \w{12}\.\.\., now it is"):
        Feed(replace(config, data=grown)).resume(state)


def test_a_digest_of_versions_that_knew_no_draws_holds_as_long_as_no_draw_is_added(
    config: FeedConfig, synthetic: Path
) -> None:
    every, first = contents_of(synthetic), contents_of(synthetic, 2)
    assert every.has_digest(every.former_digest) and every.has_digest(every.digest)
    assert not first.has_digest(every.former_digest) and not first.has_digest("") and not first.has_digest(None)
    feed = Feed(config)
    state = {name: value for name, value in feed.state(Position(1, 2)).items() if name != "draws"}
    assert feed.resume({**state, "dataset": every.former_digest}) == Position(1, 2)
