"""Feature cache: what a second run encodes, and what becomes of damaged blocks, other weights and other processes."""

import hashlib
import io
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.metrics.clip_score import clip_scores
from pbe.evaluation.metrics.encoders.protocol import Features, Picture
from pbe.evaluation.metrics.feature_cache import BLOCK_ROWS, CachedEncoder, key_of
from pipeline.storage.folder import Folder
from schemas.features import features_schema
from tests.pbe.evaluation.metrics.encoder_of_colours import Colours

SIDE = 8


def pictures(count: int, seed: int = 0) -> list[Picture]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8))


def filled(folder: Path, *, count: int = 5, seed: int = 0) -> Path:
    """Cache the features of some pictures; return the block."""
    before = set(folder.rglob("*.parquet"))
    with CachedEncoder(Colours(side=SIDE), Folder(str(folder))) as encoder:
        encoder.encode(pictures(count, seed))
    [block] = set(folder.rglob("*.parquet")) - before
    return block


def reopened(folder: Path, **facts: str) -> tuple[CachedEncoder, Colours]:
    encoder = Colours(side=SIDE, **facts)
    return CachedEncoder(encoder, Folder(str(folder))), encoder


def test_a_second_run_encodes_nothing_and_gives_the_same_bytes(tmp_path: Path) -> None:
    filled(tmp_path)
    cached, encoder = reopened(tmp_path)
    assert np.array_equal(cached.encode(pictures(5)[::-1]), Colours(side=SIDE).encode(pictures(5)[::-1]))
    assert encoder.seen == 0 and not cached.damaged
    cached.flush()
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


@settings(max_examples=15)
@given(st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=5))
def test_each_picture_is_encoded_once_and_keeps_its_place(calls: list[list[int]]) -> None:
    some, encoder = pictures(10), Colours(side=SIDE)
    cached = CachedEncoder(encoder, Folder("memory://never-written"))
    for places in calls:
        asked = [some[place] for place in places]
        assert np.array_equal(cached.encode(asked), Colours(side=SIDE).encode(asked))
    assert encoder.seen == len({place for places in calls for place in places})


def test_features_of_other_weights_are_never_found(tmp_path: Path) -> None:
    filled(tmp_path)
    cached, encoder = reopened(tmp_path, digest="f" * 16)
    cached.encode(pictures(5))
    assert encoder.seen == 5 and not cached.damaged


def test_a_block_of_other_weights_in_the_wrong_place_is_named_and_passed_over(tmp_path: Path) -> None:
    block = filled(tmp_path)
    (tmp_path / ("f" * 16)).mkdir()
    moved = block.rename(tmp_path / ("f" * 16) / block.name)
    cached, encoder = reopened(tmp_path, digest="f" * 16)
    cached.encode(pictures(5))
    assert encoder.seen == 5
    assert len(cached.damaged) == 1 and str(moved) in cached.damaged[0] and "not of this encoder" in cached.damaged[0]


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "folder"])
def test_a_damaged_block_is_named_and_passed_over_and_written_again(tmp_path: Path, damage: str) -> None:
    block = filled(tmp_path)
    filled(tmp_path, count=3, seed=1)
    content = block.read_bytes()
    flipped = bytes([*content[:-400], content[-400] ^ 1, *content[-399:]])
    block.unlink()
    if damage == "folder":
        block.mkdir()
    else:
        block.write_bytes({"cut": content[: len(content) // 2], "flipped": flipped, "emptied": b""}[damage])
    cached, encoder = reopened(tmp_path)
    features = cached.encode([*pictures(5), *pictures(3, seed=1)])
    assert np.array_equal(features[:5], Colours(side=SIDE).encode(pictures(5)))
    assert encoder.seen == 5
    assert len(cached.damaged) == 1 and block.name in cached.damaged[0] and "remove it" in cached.damaged[0]
    if damage != "folder":
        cached.flush()
        assert block.read_bytes() == content


def test_features_that_are_not_finite_are_given_but_not_kept(tmp_path: Path) -> None:
    broken = pictures(2)[0].astype(np.float32)
    broken[0] = np.nan
    cached, encoder = reopened(tmp_path)
    assert np.isnan(cached.encode([broken, pictures(2)[1]])[0]).any()
    cached.encode([broken, pictures(2)[1]])
    assert encoder.seen == 3


def test_writers_at_once_lose_nothing_and_listing_order_is_no_matter(tmp_path: Path) -> None:
    writers = [reopened(tmp_path)[0] for _ in range(3)]
    for seed, writer in enumerate(writers):
        writer.encode([*pictures(4, seed), *pictures(4, seed + 1)])
    for writer in reversed(writers):
        writer.flush()
    cached, encoder = reopened(tmp_path)
    asked = [picture for seed in range(4) for picture in pictures(4, seed)]
    assert np.array_equal(cached.encode(asked), Colours(side=SIDE).encode(asked))
    assert encoder.seen == 0


def test_a_block_is_written_as_soon_as_it_is_full_so_that_a_kill_costs_no_more(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "import numpy as np\n"
        "from pbe.evaluation.metrics.feature_cache import CachedEncoder\n"
        "from pipeline.storage.folder import Folder\n"
        "from tests.pbe.evaluation.metrics.encoder_of_colours import Colours\n"
        f"encoder = CachedEncoder(Colours(side={SIDE}), Folder({str(tmp_path)!r}))\n"
        f"for seed, count in enumerate(({BLOCK_ROWS}, 9)):\n"
        f"    shape = (count, {SIDE}, {SIDE}, 3)\n"
        "    encoder.encode(list(np.random.default_rng(seed).integers(0, 256, shape, np.uint8)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    cached, encoder = reopened(tmp_path)
    cached.encode([*pictures(BLOCK_ROWS), *pictures(9, seed=1)])
    assert encoder.seen == 9 and not cached.damaged


def test_pictures_of_equal_bytes_but_another_form_have_other_keys() -> None:
    row = np.arange(48, dtype=np.uint8)
    forms = [row.reshape(4, 4, 3), row.reshape(2, 8, 3), row.view(np.float32).reshape(2, 2, 3)]
    assert len({key_of(form) for form in forms}) == 3
    assert key_of(forms[0][:, ::-1]) == key_of(forms[0][:, ::-1].copy()) != key_of(forms[0])


def test_a_clip_score_can_be_had_from_the_cache_alone(tmp_path: Path) -> None:
    result, exemplar = np.random.default_rng(0).integers(0, 256, (2, 60, 50, 3), np.uint8)
    mask = np.zeros((60, 50), bool)
    mask[7:40, 9:33] = True
    encoder = Colours()
    with CachedEncoder(encoder, Folder(str(tmp_path))) as cached:
        first = clip_scores(cached, [result], [mask], [exemplar])
    again = CachedEncoder(Colours(), Folder(str(tmp_path)))
    assert clip_scores(again, [result], [mask], [exemplar]) == first
    assert encoder.seen == 3


def test_a_block_reads_as_a_plain_table_sorted_by_key(tmp_path: Path) -> None:
    block = filled(tmp_path)
    table = pq.read_table(io.BytesIO(block.read_bytes()))
    assert table.schema.equals(features_schema(Colours().digest, Colours.dimension), check_metadata=True)
    keys = table["key"].to_pylist()
    assert keys == sorted(map(key_of, pictures(5)))
    assert block.stem == hashlib.sha256(block.read_bytes()).hexdigest()


@pytest.mark.slow
def test_thirty_five_thousand_features_of_clip_are_looked_up_in_seconds(tmp_path: Path) -> None:
    class Long(Colours):
        dimension = 512

        def encode(self, pictures: Sequence[Picture]) -> Features:
            self.seen += len(pictures)
            return np.random.default_rng(0).normal(size=(len(pictures), 512)).astype(np.float32)

    shades = list(np.random.default_rng(0).integers(0, 256, (35_000, 4, 4, 3), np.uint8))
    with CachedEncoder(Long(), Folder(str(tmp_path))) as writer:
        for first in range(0, len(shades), BLOCK_ROWS):
            writer.encode(shades[first : first + BLOCK_ROWS])
    started = time.process_time()
    encoder = Long()
    assert CachedEncoder(encoder, Folder(str(tmp_path))).encode(shades).shape == (35_000, 512)
    assert encoder.seen == 0
    assert time.process_time() - started < 5
