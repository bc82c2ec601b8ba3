"""Datasets by name: ours are made, found again and forgotten, others are left alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.errors import InputError


@pytest.fixture
def named(fiftyone_database: str) -> Iterator[Any]:
    """The module under test; what a test has made is removed."""
    import fiftyone as fo

    from dashboards.app import named

    yield named
    for name in fo.list_datasets():
        fo.delete_dataset(name)


def test_a_dataset_is_made_once_and_keeps_what_was_saved_in_it(named: Any) -> None:
    dataset = named.open_named("ours", default_slice="source")
    dataset.save_view("mine", dataset.limit(1))
    again = named.open_named("ours", default_slice="source")
    assert again.persistent and again.list_saved_views() == ["mine"]
    assert (again.group_field, again.default_group_slice) == ("group", "source")
    assert named.open_named("ours", default_slice=None).group_field is None
    assert named.names() == ["ours"]


def test_a_dataset_of_somebody_else_is_neither_opened_nor_forgotten(named: Any) -> None:
    import fiftyone as fo

    fo.Dataset("theirs", persistent=True)
    for touch in (lambda: named.open_named("theirs", default_slice=None), lambda: named.forget("theirs")):
        with pytest.raises(InputError, match="'theirs' of this database was not made by"):
            touch()
    assert fo.dataset_exists("theirs")


def test_a_forgotten_dataset_is_gone_with_its_tags_and_an_unknown_one_is_named(named: Any) -> None:
    import fiftyone as fo

    from dashboards.app.documents import FLAT, Row, write_samples

    def write() -> Any:
        dataset = named.open_named("ours", default_slice=None)
        write_samples(dataset, [Row("a", {FLAT: {"filepath": "/a.jpg"}})], labels={})
        return dataset

    write().tag_samples("bad")
    assert write().count_sample_tags() == {"bad": 1}
    named.forget("ours")
    assert not fo.dataset_exists("ours")
    assert write().count_sample_tags() == {}
    with pytest.raises(InputError, match=r"--forget other: no such dataset in this database; there are ours"):
        named.forget("other")
