"""Rows as FiftyOne's documents: the same as `add_samples` makes of them, and tags that outlive a rebuild."""

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.errors import InputError

CLOCKS_AND_CHANCE = ("_rand", "created_at", "last_modified_at", "_dataset_id")
LABELS = {
    "box": "Detections",
    "outline": "Polylines",
    "mask": "Segmentation",
    "latent": "Heatmap",
    "fate": "Classification",
    "metadata": "ImageMetadata",
}


@pytest.fixture
def documents(fiftyone_database: str) -> Iterator[Any]:
    """The module under test; what a test has made is removed."""
    import fiftyone as fo

    from dashboards.app import documents

    yield documents
    for name in fo.list_datasets():
        fo.delete_dataset(name)


def _source(number: int) -> dict[str, Any]:
    """Fields of a sample, more of them in every second one."""
    more = number % 2
    return {
        "filepath": f"/photo{number}/source.jpg",
        "metadata": {"width": 512, "height": 512, "num_channels": 3, "mime_type": "image/jpeg", "size_bytes": 1},
        "label_name": "Dog",
        "share": 0.25 * number,
        "draw": number,
        "squashed": bool(more),
        "words": ["flip", "blur"] if more else [],
        "area": 3.5 if more else None,
        "box": [
            {"label": "Dog", "bounding_box": [0.0, 0.125, 0.5, 0.5], "cover": 0.5, "id": "7"},
            {"label": "Cat", "bounding_box": [0.0, 0.25, 0.5, 0.5], **({"rule": "area"} if more else {})},
        ][: 2 if number else 0],
        "outline": [{"label": "m", "points": [[[0.0, 0.5], [1.0, 0.5]]], "closed": True}],
        "mask": {"mask_path": f"/photo{number}/mask.png"},
        "latent": {"map_path": f"/photo{number}/latent.png", "range": [0.0, 1.0]},
        "fate": {"label": "drawn", "confidence": 0.5} if more else None,
    }


def _exemplar(number: int) -> dict[str, Any]:
    return {"filepath": f"/photo{number}/exemplar.jpg", "label_name": "Dog"}


def _rows(documents: Any, *, grouped: bool, count: int = 4) -> list[Any]:
    if grouped:
        slices = [{"source": _source(number), "exemplar": _exemplar(number)} for number in range(count)]
    else:
        slices = [{documents.FLAT: _source(number)} for number in range(count)]
    return [documents.Row(f"photo{number}", slices[number]) for number in range(count)]


def _open(name: str, *, grouped: bool = False) -> Any:
    from dashboards.app.named import open_named

    return open_named(name, default_slice="source" if grouped else None)


def _add_samples(dataset: Any, rows: list[Any]) -> None:
    """Add rows as FiftyOne's users do."""
    import fiftyone as fo

    def as_label(field: str, value: Any) -> Any:
        if value is None or (value == [] and field not in LABELS):
            return None
        match LABELS.get(field):
            case "Detections":
                boxes = [{name: held for name, held in box.items() if name != "id"} for box in value]
                return fo.Detections(detections=[fo.Detection(**box) for box in boxes])
            case "Polylines":
                return fo.Polylines(polylines=[fo.Polyline(**line) for line in value])
            case None:
                return value
            case kind:
                return getattr(fo, kind)(**value)

    for row in rows:
        group = fo.Group()
        for name, fields in row.slices.items():
            sample = fo.Sample(**{field: as_label(field, value) for field, value in fields.items()})
            if name:
                sample["group"] = group.element(name)
            dataset.add_sample(sample, dynamic=True)


def _plain(value: Any) -> Any:
    """A document without ids, clocks and chance."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k not in (*CLOCKS_AND_CHANCE, "_id")}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _stored(dataset: Any) -> list[dict[str, Any]]:
    return list(dataset._sample_collection.find())


@pytest.mark.parametrize("grouped", [False, True], ids=["flat", "grouped"])
def test_documents_schema_and_indexes_equal_those_of_add_samples(documents: Any, grouped: bool) -> None:
    rows = _rows(documents, grouped=grouped)
    ours, theirs = _open("ours", grouped=grouped), _open("theirs", grouped=grouped)
    assert documents.write_samples(ours, rows, labels=LABELS) == len(rows) * (2 if grouped else 1)
    _add_samples(theirs, rows)

    assert [_plain(document) for document in _stored(ours)] == [_plain(document) for document in _stored(theirs)]
    assert {k: str(v) for k, v in ours.get_field_schema(flat=True).items()} == {
        k: str(v) for k, v in theirs.get_field_schema(flat=True).items()
    }
    assert (ours.media_type, ours.group_media_types) == (theirs.media_type, theirs.group_media_types)
    assert ours.get_index_information().keys() == theirs.get_index_information().keys()


def test_samples_work_in_views_and_are_found_by_their_ids(documents: Any) -> None:
    dataset = _open("ours", grouped=True)
    documents.write_samples(dataset, _rows(documents, grouped=True), labels=LABELS)
    group = dataset.get_group(documents.group_id("ours", "photo3"))
    assert group["source"].id == documents.sample_id("ours", "photo3", "source")
    assert group["source"].box.detections[1].rule == "area"
    assert dataset.match({"share": {"$gt": 0.3}}).count() == 2
    assert dataset.select_group_slices(["source", "exemplar"]).count() == 8
    assert dataset.select_group_slices("source").to_patches("box").count() == 6


def test_the_same_rows_have_the_same_ids_and_order_again_and_other_datasets_others(documents: Any) -> None:
    def identify(name: str) -> list[Any]:
        documents.write_samples(dataset := _open(name), _rows(documents, grouped=False), labels=LABELS)
        shown = ("_id", "_rand", "box", "mask")
        return [{field: entry[field] for field in shown} for entry in _stored(dataset)]

    assert identify("ours") == identify("ours")
    assert not {entry["_id"] for entry in identify("ours")} & {entry["_id"] for entry in identify("theirs")}


def test_tags_of_samples_and_labels_survive_rebuilds_that_leave_them_out_meanwhile(documents: Any) -> None:
    from fiftyone import ViewField

    dataset, rows = _open("ours", grouped=True), _rows(documents, grouped=True)
    documents.write_samples(dataset, rows, labels=LABELS)
    dataset.select(documents.sample_id("ours", "photo1", "source")).tag_samples("bad")
    boxes = dataset.select_group_slices("source").filter_labels("box", ViewField("label") == "Dog")
    boxes.tag_labels("loose", label_fields="box")
    dataset.select_group_slices("source").match({"fate.label": "drawn"}).tag_labels("why", label_fields="fate")

    def tags() -> list[Any]:
        source = _open("ours", grouped=True).select_group_slices("source")
        return list(zip(*source.values(["id", "tags", "box.detections.tags", "fate.tags"]), strict=True))

    before = tags()
    assert before[1][1:] == (["bad"], [["loose"], []], ["why"])
    documents.write_samples(_open("ours", grouped=True), rows, labels=LABELS)
    assert tags() == before

    # One that leaves out a tagged sample, then one that stops half-way.
    documents.write_samples(_open("ours", grouped=True), rows[2:], labels=LABELS)
    assert tags() == before[2:]

    def stopping() -> Iterator[Any]:
        yield rows[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        documents.write_samples(_open("ours", grouped=True), stopping(), labels=LABELS)
    documents.write_samples(_open("ours", grouped=True), rows, labels=LABELS)
    assert tags() == before

    # What was taken away in the App stays away.
    dataset.select_group_slices("source").untag_samples("bad")
    documents.write_samples(_open("ours", grouped=True), rows, labels=LABELS)
    assert tags()[1][1:] == ([], [["loose"], []], ["why"])


def test_a_box_keeps_its_tags_by_its_id_where_its_place_in_the_list_changes(documents: Any) -> None:
    from fiftyone import ViewField

    dataset, [row] = _open("ours"), _rows(documents, grouped=False)[3:]
    documents.write_samples(dataset, [row], labels=LABELS)
    dataset.filter_labels("box", ViewField("label") == "Dog").tag_labels("loose", label_fields="box")
    fields = row.slices[documents.FLAT]
    turned = documents.Row(row.key, {documents.FLAT: {**fields, "box": fields["box"][::-1]}})
    documents.write_samples(dataset, [turned], labels=LABELS)
    assert dataset.values("box.detections.tags") == [[[], ["loose"]]]


@pytest.mark.parametrize("name", ["photo.jpg", "/a/../b.jpg", "/a//b.jpg", "/./b.jpg"])
def test_a_filepath_that_is_a_path_rather_than_a_name_is_refused(documents: Any, name: str) -> None:
    row = documents.Row("photo0", {documents.FLAT: {"filepath": name}})
    with pytest.raises(ValueError, match="must be a name"):
        documents.write_samples(_open("ours"), [row], labels={})


def test_a_field_of_two_types_is_refused(documents: Any) -> None:
    rows = [documents.Row(str(value), {documents.FLAT: {"filepath": "/a.jpg", "share": value}}) for value in (0.5, "x")]
    with pytest.raises(TypeError, match=r"share holds float, and here str: 'x'"):
        documents.write_samples(_open("ours"), rows, labels={})


def test_two_who_write_one_dataset_are_told(documents: Any) -> None:
    def rows() -> Iterator[Any]:
        row = _rows(documents, grouped=False, count=1)[0]
        yield row
        documents.write_samples(_open("ours"), [row], labels=LABELS)

    with pytest.raises(InputError, match="dataset 'ours': another browse writes it at this moment"):
        documents.write_samples(_open("ours"), rows(), labels=LABELS)
