import hashlib
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
import safetensors.numpy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.batch import Batch
from pbe.feed.config import FeedConfig
from pbe.feed.dataset import Shard, open_dataset
from pbe.feed.fixed_batches import fixed_batches
from pbe.feed.order import Position
from pbe.feed.sample_reader import SampleError
from pbe.feed.shard_cache import ShardCache
from pbe.feed.training_feed import Feed, FeedStep
from pipeline.draws.exemplars import augment_with
from pipeline.draws.masks import latent_mask, raster_mask
from pipeline.encoders.clip import ClipEncoder, clip_normalise
from pipeline.encoders.pixels import unit_pixels
from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.rng import rng_for
from pipeline.shards.samples import read_index, read_sample
from pipeline.storage import retries
from pipeline.storage.folder import Folder
from schemas.samples import INDEX
from schemas.shards import MANIFEST, SHARDS, SHARDS_TABLE, index_path, shard_path
from tests.object_storage import Proxy
from tests.synthetic import write_manifest, write_synthetic

COUNTS = [[9, 5, 14, 7], [8, 12, 3, 13], [10, 8, 8, 10]]


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """35, 36 and 36 samples in three draws; to be copied before it is changed."""
    out = tmp_path_factory.mktemp("synthetic")
    write_synthetic(out, COUNTS)
    return out


@pytest.fixture(scope="session")
def config(synthetic: Path) -> FeedConfig:
    return FeedConfig(data=str(synthetic), batch_size=8, lanes=4, block=3, workers=0, seed=5)


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dataset")


@pytest.fixture
def dataset(make: Callable[..., PreparedJob], _made: Path) -> Path:
    """Real photos, sources kept; some in train, some in validation."""
    if not (_made / MANIFEST).exists():
        make(_made, keep_source=True)
    return _made


def take(feed: Feed, steps: int, start: Position | None = None) -> list[FeedStep]:
    return list(islice(feed.steps(start or Position()), steps))


def joined(batches: list[Batch]) -> dict[str, Any]:
    """Put batches together, sorted by ordinal."""
    ordinals = torch.cat([batch.ordinals for batch in batches])
    by_ordinal = torch.argsort(ordinals)
    keys = [key for batch in batches for key in batch.keys]
    whole: dict[str, Any] = {"keys": [keys[i] for i in by_ordinal]}
    for name in (field.name for field in fields(Batch) if field.name not in ("keys", "masked_sources")):
        whole[name] = torch.cat([getattr(batch, name) for batch in batches])[by_ordinal]
    return whole


def assert_equal(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left["keys"] == right["keys"]
    for name in left:
        if name != "keys":
            assert torch.equal(left[name], right[name]), name


def test_a_batch_holds_what_the_shards_hold(dataset: Path) -> None:
    feed = Feed(FeedConfig(data=str(dataset), seed=3))
    rows = {row["key"]: row for draw in (0, 1) for row in rows_of(dataset, draw)}
    for step in take(feed, 4):
        for batch in step.batches:
            for i, key in enumerate(batch.keys):
                sample = read_sample(Folder(str(dataset)), rows[key])
                assert torch.equal(batch.latents[i], torch.from_numpy(sample.latent).float())
                assert torch.equal(batch.masked_latents[i], torch.from_numpy(sample.masked_latent).float())
                assert torch.equal(batch.exemplars[i], torch.from_numpy(sample.exemplar).float())
                raster = raster_mask(np.array(rows[key]["mask_polygon"], np.float32).reshape(-1, 2), 64)
                assert torch.equal(
                    batch.masks[i : i + 1], latent_mask(torch.from_numpy(raster)[None, None].float(), (8, 8))
                )
                assert rows[key]["split"] == "train"


def rows_of(dataset: Path, draw: int) -> list[dict[str, Any]]:
    """Index rows of a draw, all splits."""
    files = sorted((dataset / "index").rglob(f"*-d{draw:02d}.parquet"))
    return [row for file in files for row in pq.read_table(file, schema=INDEX).to_pylist()]


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_global_batches_are_the_same_for_every_world_size_accumulation_and_number_of_workers(
    config: FeedConfig, world: int, accumulation: int
) -> None:
    whole = [step.batches for step in take(Feed(config), 9)]
    for workers in range(5):
        feeds = [
            Feed(replace(config, workers=workers), rank=rank, world=world, accumulation=accumulation)
            for rank in range(world)
        ]
        ranks = [take(feed, 9) for feed in feeds]
        for number, expected in enumerate(whole):
            parts = [rank[number].batches for rank in ranks]
            assert all(len(batches) == accumulation for batches in parts)
            assert_equal(joined([batch for batches in parts for batch in batches]), joined(expected))
            for micro in range(accumulation):
                together = joined([batches[micro] for batches in parts])["keys"]
                part = len(expected[0].keys) // accumulation
                assert together == expected[0].keys[micro * part : (micro + 1) * part]


def test_an_epoch_sees_each_photo_once_and_the_next_one_the_next_draw(config: FeedConfig) -> None:
    feed = Feed(config)
    steps = take(feed, 4 * 4)
    for epoch in range(4):
        keys = [key for step in steps if step.position.epoch == epoch for key in step.batches[0].keys]
        photos = {key.split("-")[0] for key in keys}
        assert len(photos) == len(keys) == 32
        assert {key.split("-")[2] for key in keys} == {str(epoch % 3)}
    assert [feed.describe(epoch).dropped for epoch in (0, 1)] == [3, 4]
    assert [step.after for step in steps] == [step.position for step in steps[1:]] + [Position(4, 0)]


@settings(max_examples=15)
@given(st.integers(0, 11), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]))
def test_a_resumed_run_repeats_and_skips_nothing_also_on_other_ranks(
    config: FeedConfig, stop: int, before: int, after: int
) -> None:
    whole = joined([step.batches[0] for step in take(Feed(config), 12)])
    first = [take(Feed(config, rank=rank, world=before), stop) for rank in range(before)]
    position = first[0][-1].after if stop else Position()
    saved = json.loads(json.dumps(Feed(config).state(position)))
    feeds = [Feed(config, rank=rank, world=after) for rank in range(after)]
    rest = [take(feed, 12 - stop, feed.resume(saved)) for feed in feeds]
    assert_equal(joined([batch for rank in (*first, *rest) for step in rank for batch in step.batches]), whole)


def test_a_position_of_another_order_is_refused(config: FeedConfig, synthetic: Path, tmp_path: Path) -> None:
    saved = Feed(config).state(Position(1, 2))
    with pytest.raises(InputError, match="seed 5, now it is 6"):
        Feed(replace(config, seed=6)).resume(saved)
    write_synthetic(tmp_path / "d", [[30], [30]])
    with pytest.raises(InputError, match="dataset"):
        Feed(replace(config, data=str(tmp_path / "d"))).resume(saved)


def test_noise_is_that_of_seed_and_ordinal_and_a_fifth_is_dropped(config: FeedConfig) -> None:
    whole = joined([step.batches[0] for step in take(Feed(config), 40)])
    for ordinal in (0, 100, 319):
        noise = rng_for(5, "noise", "train", ordinal).standard_normal((4, 4, 4), dtype=np.float32)
        assert torch.equal(whole["noise"][ordinal], torch.from_numpy(noise))
    assert 0.13 < whole["drop"].float().mean() < 0.27
    assert whole["timesteps"].min() < 30 and whole["timesteps"].max() > 970
    assert len(whole["timesteps"].unique()) > 200
    other = joined([step.batches[0] for step in take(Feed(replace(config, seed=6)), 4)])
    assert not torch.isin(other["noise"].flatten(), whole["noise"].flatten()).all()
    none = joined([step.batches[0] for step in take(Feed(replace(config, drop_share=0.0)), 4)])
    assert not none["drop"].any()
    assert torch.equal(none["noise"], whole["noise"][:32]) and torch.equal(none["timesteps"], whole["timesteps"][:32])


def test_plain_exemplars_are_the_stored_pictures_and_live_ones_are_augmented_afresh(
    dataset: Path, clip: ClipEncoder
) -> None:
    config = FeedConfig(data=str(dataset), seed=3, workers=2)
    rows = {row["key"]: row for draw in (0, 1) for row in rows_of(dataset, draw)}
    plain, live = (take(Feed(replace(config, exemplar=mode)), 4) for mode in ("plain", "live"))
    seen = 0
    for before, after in zip(plain, live, strict=True):
        for i, key in enumerate(before.batches[0].keys):
            pixels = read_sample(Folder(str(dataset)), rows[key]).exemplar_pixels
            assert torch.equal(before.batches[0].exemplars[i], clip_normalise(unit_pixels(pixels[None]))[0])
            encoded = clip.model(before.batches[0].exemplars[i : i + 1]).pooler_output
            assert np.abs(clip.encode(pixels[None]) - encoded.detach().numpy()).max() < 1e-3
            rng = rng_for(3, "live augmentation", "train", int(after.batches[0].ordinals[i]))
            augmented, _ = augment_with(pixels, rng)
            assert torch.equal(after.batches[0].exemplars[i], clip_normalise(unit_pixels(augmented[None]))[0])
            seen += not torch.equal(before.batches[0].exemplars[i], after.batches[0].exemplars[i])
    assert seen > 3


def test_box_masks_are_rectangles_and_their_masked_sources_are_blank_there(dataset: Path, synthetic: Path) -> None:
    feed = Feed(FeedConfig(data=str(dataset), masks="box", workers=0))
    rows = {row["key"]: row for row in rows_of(dataset, 0)}
    [step] = take(feed, 1)
    batch = step.batches[0]
    sources = batch.masked_sources
    assert sources is not None
    assert sources.shape == (2, 3, 64, 64)
    for i, key in enumerate(batch.keys):
        x0, y0, x1, y1 = (64 * np.array(rows[key]["box_in_crop"])).clip(0, 64)
        inside = (slice(int(np.ceil(y0)), int(y1)), slice(int(np.ceil(x0)), int(x1)))
        assert (sources[i][:, *inside] == 0).all()
        assert batch.masks[i].sum() * 64 == pytest.approx((x1 - x0) * (y1 - y0), abs=8 * (x1 - x0 + y1 - y0) + 64)
        assert (sources[i] == 0).all(dim=0).sum() < (x1 - x0 + 2) * (y1 - y0 + 2) + 50
    with pytest.raises(InputError, match="--keep-source"):
        Feed(FeedConfig(data=str(synthetic), masks="box"))


def test_fixed_batches_give_every_sample_of_a_split_once_and_the_same_each_time(
    config: FeedConfig, dataset: Path
) -> None:
    whole = joined(list(fixed_batches(config)))
    assert whole["weights"].tolist() == [1.0] * 35 + [0.0] * 5
    assert len(set(whole["keys"][:35])) == 35 and set(whole["keys"][35:]) == {""}
    assert whole["latents"][35:].abs().sum() == 0
    for world in (1, 2, 8):
        ranks = [list(fixed_batches(replace(config, workers=2), rank=rank, world=world)) for rank in range(world)]
        assert {len(rank) for rank in ranks} == {5}
        assert_equal(joined([batch for rank in ranks for batch in rank]), whole)
    assert [len(batch.keys) for batch in fixed_batches(config, limit=9)] == [8, 8]
    validation = FeedConfig(data=str(dataset), split="validation", batch_size=1)
    keys = [key for batch in fixed_batches(validation) for key in batch.keys]
    assert sorted(keys) == sorted(row["key"] for row in rows_of(dataset, 0) if row["split"] == "validation")
    with pytest.raises(InputError, match="no sample in the test split"):
        list(fixed_batches(replace(validation, split="test")))


def test_what_does_not_fit_is_refused_naming_the_numbers(config: FeedConfig) -> None:
    with pytest.raises(InputError, match="draw 0 has 35 samples, fewer than one global batch of 64"):
        Feed(replace(config, batch_size=64))
    with pytest.raises(InputError, match="world size 3 does not divide the 4 lanes; allowed: 1, 2, 4"):
        Feed(config, rank=0, world=3)
    with pytest.raises(InputError, match="do not divide the global batch of 8"):
        Feed(config, rank=0, world=2, accumulation=3)


def damage(dataset: Path, how: str) -> tuple[str, list[str]]:
    """Damage a shard of draw 0; returns its name and the keys that suffer."""
    name = shard_path("train", 2, 0)
    rows = read_index(Folder(str(dataset)), index_path("train", 2, 0)).to_pylist()
    file = dataset / name
    data = bytearray(file.read_bytes())
    member = next(m for m in rows[5]["members"] if m["ext"] == "safetensors")
    if how == "missing shard":
        file.unlink()
        return name, [row["key"] for row in rows]
    if how == "cut short":
        file.write_bytes(data[: member["offset"] + 40])
        return name, [row["key"] for row in rows[5:]]
    where = member["offset"] + (12 if how == "header" else member["size"] - 5)
    data[where] ^= 0xFF
    file.write_bytes(data)
    return name, [rows[5]["key"]]


@pytest.mark.parametrize("how", ["missing shard", "cut short", "header", "payload"])
def test_a_bad_sample_stops_the_feed_by_name_or_gets_weight_0(
    config: FeedConfig, synthetic: Path, tmp_path: Path, how: str
) -> None:
    copy = shutil.copytree(synthetic, tmp_path / "copy")
    name, keys = damage(copy, how)
    config = replace(config, data=str(copy), check_hashes=how == "payload", workers=2)
    with pytest.raises(SampleError, match=name) as caught:
        take(Feed(config), 8)
    assert any(f"sample {key}:" in str(caught.value) for key in keys)
    sound = joined([step.batches[0] for step in take(Feed(replace(config, data=str(synthetic))), 4)])
    feed = Feed(replace(config, bad_samples="skip"))
    skipped = joined([step.batches[0] for step in take(feed, 4)])
    bad = [key in keys for key in skipped["keys"]]
    assert any(bad) and skipped["keys"] == sound["keys"]
    assert skipped["weights"].tolist() == [float(not b) for b in bad]
    assert len([ordinal for ordinal in feed.bad if ordinal < 32]) == sum(bad)
    for part in ("latents", "masked_latents", "exemplars", "masks"):
        assert (skipped[part][torch.tensor(bad)] == 0).all()
        assert torch.equal(skipped[part][~torch.tensor(bad)], sound[part][~torch.tensor(bad)])
    assert torch.equal(skipped["noise"], sound["noise"])


def test_a_tensor_member_written_with_another_header_reads_the_same(
    config: FeedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = safetensors.numpy.save
    monkeypatch.setattr(safetensors.numpy, "save", lambda arrays: save(arrays, metadata={"writer": "another"}))
    write_synthetic(tmp_path / "d", COUNTS)
    monkeypatch.undo()
    other = joined([step.batches[0] for step in take(Feed(replace(config, data=str(tmp_path / "d"))), 4)])
    assert_equal(other, joined([step.batches[0] for step in take(Feed(config), 4)]))


def test_a_tensor_member_of_other_sizes_is_refused(config: FeedConfig, synthetic: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(synthetic, tmp_path / "copy")
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["recipe"]["clip"]["dimension"] = 7
    write_manifest(Folder(str(copy)), manifest)
    with pytest.raises(SampleError, match=r"holds .*'exemplar': \(\(6,\), 'float16'\)"):
        take(Feed(replace(config, data=str(copy))), 1)


def test_a_changed_shards_table_and_a_short_index_are_refused(
    config: FeedConfig, synthetic: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(synthetic, tmp_path / "copy")
    (copy / index_path("train", 0, 0)).write_bytes((copy / index_path("train", 1, 0)).read_bytes())
    with pytest.raises(InputError, match="5 rows for 9 samples"):
        take(Feed(replace(config, data=str(copy))), 4)
    with (copy / SHARDS_TABLE).open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="its sha256 is not the one in"):
        Feed(replace(config, data=str(copy)))


def test_open_images_with_four_draws_opens_and_reaches_any_position_in_seconds(
    config: FeedConfig, synthetic: Path, tmp_path: Path
) -> None:
    rows = [
        {"name": shard_path("train", unit, draw), "split": "train", "unit": unit, "draw": draw}
        | {"samples": 1000 - unit % 50, "bytes": 86_000_000, "sha256": "0" * 64}
        for unit in range(1900)
        for draw in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SHARDS), tmp_path / SHARDS_TABLE)
    manifest = json.loads((synthetic / MANIFEST).read_text())
    digest = hashlib.sha256((tmp_path / SHARDS_TABLE).read_bytes()).hexdigest()
    write_manifest(Folder(str(tmp_path)), {**manifest, "draws": 4, "files": {SHARDS_TABLE: digest}})
    began = time.perf_counter()
    feed = Feed(replace(config, data=str(tmp_path), batch_size=1024, lanes=64, block=64))
    for epoch in (0, 7):
        feed.order.places(Position(epoch, feed.describe(epoch).steps - 1), np.arange(1024))
    assert time.perf_counter() - began < 3


@pytest.fixture
def bucket(s3: Proxy, synthetic: Path) -> str:
    """The synthetic dataset on an S3 server on loopback."""
    out = Folder("s3://bucket/d")
    for file in synthetic.rglob("*"):
        if file.is_file():
            out.write(str(file.relative_to(synthetic)), file.read_bytes())
    return out.url


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Every object asked of S3, and the range asked for."""
    seen: list[tuple[str, str | None]] = []
    call = s3fs.S3FileSystem._call_s3

    async def watched(self: s3fs.S3FileSystem, method: str, *arguments: Any, **options: Any) -> Any:
        if method == "get_object":
            seen.append((options["Key"], options.get("Range")))
        return await call(self, method, *arguments, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", watched)
    return seen


def span_of_blocks(feed: Feed, *, steps: int) -> set[tuple[str, str]]:
    """Shard and byte range of every block that the first steps touch."""
    found = set()
    for step in range(steps):
        places = feed.order.places(Position(0, step), np.arange(feed.order.batch))
        for slot in range(feed.order.batch):
            shard, _, block = feed.samples.block(places, slot)
            found.add((shard.name, f"bytes={block.start}-{block.stop - 1}"))
    return found


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_object_storage_gives_the_same_batches_by_one_range_request_a_block(
    config: FeedConfig, bucket: str, requests: list[tuple[str, str | None]], workers: int, accumulation: int
) -> None:
    feed = Feed(replace(config, data=bucket, workers=workers), accumulation=accumulation)
    remote = take(feed, 3)
    assert_equal(
        joined([batch for step in remote for batch in step.batches]),
        joined([step.batches[0] for step in take(Feed(config), 3)]),
    )
    ranges = [request for request in requests if request[0].endswith("-d00.tar")]  # of epoch 0, as far as was looked
    assert len(ranges) == len(set(ranges))
    blocks = [span_of_blocks(feed, steps=steps) for steps in (3, 4)]
    assert blocks[0] <= {(name.removeprefix("d/"), span) for name, span in ranges} <= blocks[1]
    indexes = [name for name, _ in requests if "/index/train/" in name and name.endswith("-d00.parquet")]
    assert workers or len(indexes) == len(set(indexes)) == 4


@pytest.mark.parametrize("how", ["missing shard", "cut short"])
def test_a_bad_sample_on_object_storage_stops_the_feed_by_name_or_gets_weight_0(
    config: FeedConfig, bucket: str, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 0.0)
    copy = shutil.copytree(synthetic, tmp_path / "copy")
    name, keys = damage(copy, how)
    fs = fsspec.filesystem("s3", **fsspec.config.conf["s3"])
    fs.rm(f"bucket/d/{name}")
    if how == "cut short":
        fs.pipe_file(f"bucket/d/{name}", (copy / name).read_bytes())
    config = replace(config, data=bucket, workers=2)
    with pytest.raises(SampleError, match=f"{bucket}/{name}: sample photo2x"):
        take(Feed(config), 4)
    steps = take(Feed(replace(config, bad_samples="skip")), 4)
    skipped = joined([step.batches[0] for step in steps])
    assert skipped["weights"].tolist() == [float(key not in keys) for key in skipped["keys"]]


def test_a_shard_cache_fetches_each_shard_once_for_all_runs(
    config: FeedConfig, bucket: str, requests: list[tuple[str, str | None]], tmp_path: Path
) -> None:
    cached = replace(config, data=bucket, cache=str(tmp_path / "cache"), workers=2)
    local = joined([step.batches[0] for step in take(Feed(config), 8)])
    assert_equal(joined([step.batches[0] for step in take(Feed(cached), 8)]), local)
    assert_equal(joined([step.batches[0] for step in take(Feed(cached), 8)]), local)
    fetched = [name for name, _ in requests if name.endswith(".tar")]
    assert len(fetched) == len(set(fetched)) >= 8
    with pytest.raises(InputError, match="shard cache 1,000; raise it"):
        take(Feed(replace(cached, cache_gb=1e-6)), 1)


def _open_all(cache: ShardCache, shards: list[Shard]) -> None:
    for shard in shards:
        with cache.open(shard) as file:
            assert hashlib.sha256(file.read()).hexdigest() == shard.sha256


def test_processes_share_a_bounded_cache_and_a_wrong_shard_never_enters_it(synthetic: Path, tmp_path: Path) -> None:
    dataset = open_dataset(str(synthetic), split="train")
    shards = [shard for draw in dataset.shards for shard in draw]
    limit = 3 * max(shard.bytes for shard in shards)
    cache = ShardCache(dataset.folder, tmp_path / "cache", limit)
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_open_all, args=(cache, shards[k:] + shards[:k])) for k in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    files = list((tmp_path / "cache").glob("*.tar"))
    assert 0 < sum(file.stat().st_size for file in files) <= limit
    assert not list((tmp_path / "cache").glob("*.part"))
    with pytest.raises(OSError, match="sha256 is not the recorded one"):
        cache.open(replace(shards[0], sha256="f" * 64))
    assert not (tmp_path / "cache" / f"{'f' * 64}.tar").exists()
