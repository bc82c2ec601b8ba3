"""Datasets as the App gets them: whole groups, what is odd first, every box by its fate, tags that come back."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboards.box_rows import read_box_rows
from dashboards.fates import FILTERED, find_fates
from dashboards.rows import choose_rows, open_rows
from dashboards.views.photo_media import PhotoMedia, photo_name
from dashboards.views.sample_media import SLICES, media_name
from pipeline.draws.jitter import describe_jitter
from pipeline.jobs.preparation import PreparedJob
from pipeline.pictures.cut_sources import Photos
from pipeline.recorded_inputs import find_inputs
from pipeline.shards.manifest import read_manifest
from pipeline.storage.folder import Folder

Make = Callable[..., PreparedJob]


@pytest.fixture
def folder(make: Make, sample_folder: Path, tmp_path: Path) -> Folder:
    """A dataset of the sample photos, half of its samples jittered, with the config of the run that made it."""
    job = make(tmp_path / "out", keep_source=True, colour_jitter=0.5)
    inputs = {name: getattr(job.config, name) for name in ("boxes", "images", "image_info", "classes")}
    job.out.write_json("run/config.json", inputs)
    return Folder(str(tmp_path / "out"))


@pytest.fixture
def fiftyone(fiftyone_database: str) -> Iterator[Any]:
    """FiftyOne; the datasets that a test makes are removed."""
    import fiftyone as fo

    yield fo
    for name in fo.list_datasets():
        fo.delete_dataset(name)


def _samples(folder: Folder, *, limit: int = 0) -> Any:
    from dashboards.views.samples import build_samples

    dataset = open_rows(folder)
    rows = choose_rows(dataset, limit=limit).table
    place = lambda kind, key: media_name("set", kind, key)  # noqa: E731
    return build_samples("set", rows, resolution=64, place=place), rows


def _dropped(folder: Folder) -> Any:
    from dashboards.views.dropped import build_dropped

    dataset, inputs = open_rows(folder), find_inputs(folder)
    fates = find_fates(dataset, read_box_rows(inputs.tables, inputs=dataset.recipe["inputs"], limit=0))
    assert inputs.store
    media = PhotoMedia("set-dropped", fates.photos, Photos(inputs.store, dataset.recipe), {})
    return build_dropped(
        "set-dropped",
        fates,
        measure=media.measure,
        names=inputs.class_names,
        place=lambda number: photo_name("set-dropped", number),
    ), media


def test_every_group_has_every_slice_and_all_that_the_index_knows(fiftyone: Any, folder: Folder) -> None:
    dataset, rows = _samples(folder)
    by_key = {row["key"]: row for row in rows.to_pylist()}
    flat = dataset.select_group_slices(list(SLICES))
    assert Counter(flat.values("key")) == Counter({key: len(SLICES) for key in by_key})
    for sample in dataset.select_group_slices("source"):
        row = by_key[sample["key"]]
        assert sample["label_name"] == row["label_name"]
        assert sample["mask_share"] == row["mask_share"]
        assert sample["crop"] == row["crop"]
        assert (sample["jitter"] or "") == describe_jitter(row["jitter"])
        assert sample["jitter_hue_degrees"] == (row["jitter"] and row["jitter"]["hue_degrees"])
        [box] = sample["box"].detections
        assert box.label == row["label_name"]
        x0, y0, width, height = box.bounding_box
        assert np.allclose([x0, y0, x0 + width, y0 + height], np.clip(row["box_in_crop"], 0, 1))
        points = [point for ring in sample["mask_outline"].polylines[0].points for point in ring]
        assert {tuple(np.float32(point)) for point in points} <= set(
            map(tuple, np.array(row["mask_polygon"], np.float32).reshape(-1, 2))
        )


def test_saved_views_put_what_is_odd_first(fiftyone: Any, folder: Folder) -> None:
    dataset, rows = _samples(folder)
    table = rows.to_pylist()
    by_view = {
        name: dataset.load_saved_view(name).values("key")
        for name in ("smallest masks", "least cover", "most mask around the box", "at the border", "squashed")
    }
    shares = {row["key"]: row for row in table}
    for name, field, sign in (("smallest masks", "mask_share", 1), ("least cover", "cover", 1)):
        values = [sign * shares[key][field] for key in by_view[name]]
        assert values == sorted(values)
    around = [shares[key]["around"] for key in by_view["most mask around the box"]]
    assert around == sorted(around, reverse=True)
    assert set(by_view["at the border"]) == {row["key"] for row in table if row["at_border"]}
    assert set(by_view["squashed"]) == {row["key"] for row in table if row["fit"] == "squash"}
    draws = dataset.load_saved_view("draws of a photo")
    assert len(draws) == len({row["image_id"] for row in table})


def test_the_dropped_view_counts_what_the_manifest_counts(fiftyone: Any, folder: Folder) -> None:
    dataset, media = _dropped(folder)
    totals = read_manifest(folder)["totals"]
    counts = dataset.count_values("boxes.detections.label")
    assert sum(counts.values()) == totals["rows"]
    assert {name: counts[f"{FILTERED}{name}"] for name in totals["filtered"]} == totals["filtered"]
    for name, number in counts.items():
        assert dataset.load_saved_view(name).count("boxes.detections") == number
    for path in dataset.values("filepath"):
        assert media.picture(path) is not None
    assert media.picture("/set-dropped/photo/../../etc/passwd") is None
    assert media.picture(photo_name("set-dropped", 10_000)) is None


def test_tags_come_back_as_boxes_and_outlive_a_rebuild_and_a_narrower_look(fiftyone: Any, folder: Folder) -> None:
    from dashboards.views.tagged import tagged_boxes, to_csv

    samples, rows = _samples(folder)
    table = rows.to_pylist()
    first, second = table[0], table[1]
    sources = samples.select_group_slices(list(SLICES))
    sources.match({"key": first["key"], "group.name": "exemplar"}).tag_samples("blurred")
    sources.match({"key": second["key"], "group.name": "source"}).tag_labels("wrong box", label_fields="box")
    _samples(folder, limit=1)
    samples, _ = _samples(folder)
    found = {(row["image_id"], row["box_id"]): row for row in tagged_boxes([samples])}
    assert {place: row["tags"] for place, row in found.items()} == {
        (first["image_id"], first["box_id"]): "blurred",
        (second["image_id"], second["box_id"]): "wrong box",
    }
    assert found[first["image_id"], first["box_id"]]["key"] == first["key"]
    read = next(csv.DictReader(io.StringIO(to_csv([found[first["image_id"], first["box_id"]]]).decode())))
    assert [np.float32(read[name]) for name in ("XMin", "YMin", "XMax", "YMax")] == first["box_source"]


def test_a_tagged_box_of_the_dropped_view_is_a_row_and_a_tagged_photo_is_one_without_a_box(
    fiftyone: Any, folder: Folder
) -> None:
    from dashboards.views.tagged import tagged_boxes

    dropped, _ = _dropped(folder)
    photo = dropped.first()
    photo.tags.append("bad photo")
    photo["boxes"].detections[1].tags.append("not a dog")
    photo.save()
    dropped, _ = _dropped(folder)
    whole, box = tagged_boxes([dropped])
    assert (whole["image_id"], whole["box_id"], whole["tags"]) == (photo["image_id"], None, "bad photo")
    assert (box["box_id"], box["tags"]) == (photo["boxes"].detections[1]["box_id"], "not a dog")
    assert box["label"].startswith("/m/")
