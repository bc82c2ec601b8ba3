"""A dataset half of whose samples are jittered."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.config import PRESETS
from pipeline.decoding.jpeg import decode_jpeg, encode_jpeg
from pipeline.draws.jitter import draw_jitter, jitter_of, mirror_box
from pipeline.errors import InputError
from pipeline.jobs.preparation import PreparedJob
from pipeline.pictures.cut_sources import Photos
from pipeline.pictures.stand_in import BACKGROUND, place_exemplar
from pipeline.shards.manifest import read_manifest, recipe_differences
from pipeline.shards.recipe import make_recipe
from pipeline.shards.records import read_records
from pipeline.shards.samples import Sample, read_index, read_sample
from schemas.shards import json_bytes, record_path
from tests.pipeline.conftest import find_problems
from tests.pipeline.verification.resigned import change_index, sign_chain

Make = Callable[..., PreparedJob]


@pytest.fixture(scope="module")
def job(make: Make, tmp_path_factory: pytest.TempPathFactory) -> PreparedJob:
    return make(tmp_path_factory.mktemp("jittered"), colour_jitter=0.5, draws=3)


@pytest.fixture(scope="module")
def samples(job: PreparedJob) -> list[Sample]:
    names = sorted(Path(job.config.out).glob("index/*/*.parquet"))
    rows = [row for name in names for row in pq.read_table(name).to_pylist()]
    return [read_sample(job.out, row) for row in rows]


def test_each_row_says_how_its_sample_was_jittered(job: PreparedJob, samples: list[Sample]) -> None:
    jitters = [sample.row["jitter"] for sample in samples]
    assert jitters == [
        draw_jitter(0.5, seed=job.config.seed, image_id=sample.row["image_id"], draw=sample.row["draw"])
        for sample in samples
    ]
    count = sum(jitter is not None for jitter in jitters)
    assert 0 < count < len(samples)
    assert read_manifest(job.out)["totals"]["samples_jittered"] == count
    assert f"{len(samples)} samples ({count} jittered)" in (job.out.read("card.md").decode())


def test_the_box_in_the_crop_flips_with_its_sample(samples: list[Sample]) -> None:
    for row in (sample.row for sample in samples):
        left, top, right, bottom = row["crop"]
        x0, y0, x1, y1 = np.array(row["box"]) * ([row["photo_width"], row["photo_height"]] * 2)
        width, height = right - left, bottom - top
        shares = ((x0 - left) / width, (y0 - top) / height, (x1 - left) / width, (y1 - top) / height)
        assert row["box_in_crop"] == pytest.approx(mirror_box(shares, jitter_of(row)), abs=1e-5)


def test_a_source_cut_anew_and_the_exemplar_at_its_place_are_those_of_the_sample(
    job: PreparedJob, samples: list[Sample]
) -> None:
    photos = Photos(job.store, job.recipe)
    for sample in samples:
        assert sample.source is not None
        assert np.array_equal(decode_jpeg(encode_jpeg(photos.cut_source(sample.row))), sample.source)
        placed = place_exemplar(sample.exemplar_pixels, sample.row, len(sample.source))
        expected = np.where(placed == BACKGROUND, placed, sample.source)
        smooth = [
            cv2.GaussianBlur(shown, (0, 0), 3).astype(int) for shown in (placed, expected)
        ]  # one is not antialiased
        assert np.abs(smooth[0] - smooth[1]).max() < 40, sample.row["key"]


def test_verify_finds_the_dataset_sound_and_a_jitter_that_is_not_the_seeds(job: PreparedJob, tmp_path: Path) -> None:
    assert find_problems(job.config.out) == []
    copy = Path(shutil.copytree(job.config.out, tmp_path / "copy"))

    def turn(rows: list[dict[str, Any]]) -> None:
        next(row["jitter"] for row in rows if row["jitter"])["hue_degrees"] += 1

    change_index(copy, turn)
    assert any("jitter is {" in problem.what for problem in find_problems(copy))


@pytest.mark.parametrize("counted", [None, 0, 99])
def test_verify_finds_a_record_that_miscounts_the_jittered_samples(
    job: PreparedJob, tmp_path: Path, counted: int | None
) -> None:
    copy = Path(shutil.copytree(job.config.out, tmp_path / "copy"))
    odd = max(read_records(job.out), key=lambda record: record.jittered or 0)
    name = record_path(odd.unit, odd.draw)
    (copy / name).write_bytes(json_bytes(replace(odd, jittered=counted).to_json()))
    sign_chain(copy)
    found = [problem for problem in find_problems(copy) if "jittered" in problem.what]
    assert name in {file for problem in found for file in problem.remove}


def test_a_recipe_names_the_share_only_where_it_is_not_0_and_another_share_is_another_recipe(job: PreparedJob) -> None:
    given: dict[str, Any] = {"device": "cpu", "filters": [], "vae": {}, "clip": {}, "class_names": {}}
    plain, half = (make_recipe(replace(PRESETS["smoke"], colour_jitter=share), **given) for share in (0.0, 0.5))
    assert set(half) - set(plain) == {"colour_jitter"}
    assert {name for name in plain if plain[name] != half[name]} == {"schema_version"}
    began = {name: value for name, value in job.recipe.items() if name != "inputs"}
    without = {name: value for name, value in began.items() if name != "colour_jitter"}
    assert recipe_differences(job.out, began) == []
    assert recipe_differences(job.out, without) == ["colour_jitter: 0.5 there, 0.0 now"]


def test_a_dataset_without_jitter_has_none_of_it_in_any_byte(make: Make, tmp_path: Path) -> None:
    job = make(tmp_path, limit=1, draws=1)
    [index] = tmp_path.glob("index/*/*.parquet")
    assert "jitter" not in pq.read_schema(index).names
    assert read_index(job.out, str(index.relative_to(tmp_path)))["jitter"].null_count == 1
    names = [name for name in tmp_path.rglob("*") if name.is_file() and name.parent != tmp_path / "run"]
    assert not any(b"jitter" in name.read_bytes() for name in names)
    assert json.loads((tmp_path / "manifest.json").read_text())["schema_version"] == 2


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=r"--colour-jitter .*: give a share from 0 to 1"):
        replace(PRESETS["smoke"], colour_jitter=share)
