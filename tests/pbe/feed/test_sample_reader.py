import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from pbe.feed.config import FeedConfig
from pbe.feed.sample_reader import SampleError
from pbe.feed.training_feed import Feed
from pipeline.draws.exemplars import augment_with
from pipeline.draws.raster import latent_mask, raster_mask
from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.pixels import unit_pixels
from pipeline.errors import InputError
from pipeline.rng import rng_for
from pipeline.shards.samples import read_sample
from pipeline.storage.folder import Folder
from schemas.shards import MANIFEST
from tests.pbe.feed.feeds import COUNTS, assert_equal, damage, joined, rows_of, take
from tests.synthetic import write_manifest, write_synthetic


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
            assert torch.equal(before.batches[0].exemplars[i], unit_pixels(pixels[None])[0])
            encoded = clip.pooled(before.batches[0].exemplars[i : i + 1])
            assert np.array_equal(clip.encode(pixels[None]), encoded.half().numpy())
            rng = rng_for(3, "live augmentation", "train", int(after.batches[0].ordinals[i]))
            augmented, _ = augment_with(pixels, rng)
            assert torch.equal(after.batches[0].exemplars[i], unit_pixels(augmented[None])[0])
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


@pytest.mark.parametrize(
    "how",
    ["missing shard", "cut short", "header", "payload", "a number in the latent", "a number in the vector"],
)
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


def test_a_sample_whose_picture_is_damaged_is_skipped_with_all_that_was_read_of_it(
    config: FeedConfig, synthetic: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(synthetic, tmp_path / "copy")
    _, keys = damage(copy, "picture")
    config = replace(config, exemplar="plain", bad_samples="skip")
    feeds = (Feed(replace(config, data=str(data))) for data in (synthetic, copy))
    sound, skipped = (joined([step.batches[0] for step in take(feed, 4)]) for feed in feeds)
    bad = torch.tensor([key in keys for key in skipped["keys"]])
    assert bad.any() and torch.equal(skipped["weights"], (~bad).float())
    for part in ("latents", "masked_latents", "exemplars", "masks"):
        assert (skipped[part][bad] == 0).all()
        assert torch.equal(skipped[part][~bad], sound[part][~bad])


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
