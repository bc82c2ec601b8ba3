import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import webdataset as wds
from hypothesis import given
from hypothesis import strategies as st

from pipeline.draws.exemplars import augment_exemplar
from pipeline.draws.raster import raster_mask
from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.pixels import blank_signed, signed
from pipeline.encoders.vae import VaeEncoder
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.samples import read_sample
from pipeline.storage.folder import Folder
from schemas.samples import INDEX, SAMPLE, sample_key


@pytest.fixture(scope="module")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dataset")


@pytest.fixture
def dataset(make: Callable[..., PreparedJob], _shared: Path) -> Path:
    if not (_shared / "manifest.json").exists():
        make(_shared)
    return _shared


def index_rows(dataset: Path) -> list[dict[str, object]]:
    return [row for path in sorted((dataset / "index").rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_plain_webdataset_reads_the_shards(dataset: Path) -> None:
    shards = sorted(map(str, (dataset / "shards").rglob("*.tar")))
    samples = list(wds.WebDataset(shards, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [
        row["key"] for shard in shards for row in index_rows(dataset) if shard.endswith(str(row["shard"]))
    ]
    for sample in samples:
        assert {"safetensors", "exemplar.jpg", "json", "source.jpg"} <= set(sample)


def test_every_index_has_the_schema_and_its_rows_are_the_samples_own_json(dataset: Path) -> None:
    for path in (dataset / "index").rglob("*.parquet"):
        assert pq.read_schema(path).equals(INDEX)
    for row in index_rows(dataset):
        with tarfile.open(dataset / str(row["shard"])) as tar:
            stored = json.load(tar.extractfile(f"{row['key']}.json"))
        as_row = pa.Table.from_pylist([stored], schema=SAMPLE).to_pylist()[0]
        assert as_row == {name: row[name] for name in SAMPLE.names}
        assert set(stored) == set(SAMPLE.names)


def test_a_span_is_a_valid_tar_and_members_lie_where_the_index_says(dataset: Path) -> None:
    for row in index_rows(dataset):
        data = (dataset / str(row["shard"])).read_bytes()
        span = data[row["offset"] : row["offset"] + row["size"]]
        with tarfile.open(fileobj=io.BytesIO(span)) as tar:
            names = tar.getnames()
            for member in row["members"]:
                content = tar.extractfile(f"{row['key']}.{member['ext']}").read()
                assert content == data[member["offset"] : member["offset"] + member["size"]]
        assert len(names) == len(row["members"]) == 4


def test_a_sample_read_by_range_replays_what_was_encoded(dataset: Path, vae: VaeEncoder, clip: ClipEncoder) -> None:
    for row in index_rows(dataset):
        sample = read_sample(Folder(str(dataset)), row)
        augmented, told = augment_exemplar(sample.exemplar_pixels, seed=0, image_id=row["image_id"], draw=row["draw"])
        assert np.abs(clip.encode(augmented[None])[0] - sample.exemplar).max() < 2e-3
        assert told["flip"] == row["augmentation"]["flip"]
        assert told["blur_px"] == row["augmentation"]["blur_px"]
        mask = raster_mask(np.array(row["mask_polygon"]).reshape(-1, 2), 64)
        stored = signed(sample.source[None])
        # The source went through JPEG, the stored latents did not: close, not equal.
        assert np.abs(vae.encode(stored)[0] - sample.latent).mean() < 0.02
        assert np.abs(vae.encode(blank_signed(stored, mask[None]))[0] - sample.masked_latent).mean() < 0.02


def test_tensors_are_float16_of_the_models_sizes(dataset: Path, vae: VaeEncoder, clip: ClipEncoder) -> None:
    for row in index_rows(dataset):
        with tarfile.open(dataset / str(row["shard"])) as tar:
            arrays = safetensors.numpy.load(tar.extractfile(f"{row['key']}.safetensors").read())
        shapes = {name: (array.shape, array.dtype) for name, array in arrays.items()}
        latent = ((vae.channels, 64 // vae.factor, 64 // vae.factor), np.dtype("float16"))
        vector = ((clip.dimension,), np.dtype("float16"))
        assert shapes == {"latent": latent, "masked_latent": latent, "exemplar": vector}


@given(st.text(min_size=1, max_size=400), st.integers(0, 10**7), st.integers(0, 99))
def test_a_key_is_safe_in_a_tar_whatever_the_image_id(image_id: str, box_id: int, draw: int) -> None:
    key = sample_key(image_id, box_id, draw)
    assert len(f"{key}.exemplar.jpg") <= 100
    assert all(c.isascii() and (c.isalnum() or c in "-_") for c in key)


def test_an_ordinary_id_stays_and_an_odd_one_is_hashed() -> None:
    assert sample_key("000ab31e6be35fed", 4, 0) == "000ab31e6be35fed-4-0"
    assert sample_key("a/b", 4, 0) != sample_key("a_b", 4, 0)
    assert sample_key("../../x", 0, 0).startswith("x-")
