"""Named: a stable name -> a FiftyOne dataset of ours, made, found again or forgotten; nobody else's is touched."""

from typing import Any

import fiftyone as fo

from dashboards.app.kept_tags import KeptTags, forget_tags
from pipeline.errors import InputError

MARK = "made_by"
MAKER = "pbe-pretrain"
GROUP_FIELD = "group"


def open_named(name: str, *, default_slice: str | None) -> Any:
    """Find our dataset of that name, or make it; it is persistent.

    Views, workspaces and colours that somebody saved in the App stay, unless the dataset changes its kind.

    Args:
        default_slice: the slice of a group that the grid shows at first; None: samples are not grouped.

    Returns:
        A `fiftyone.Dataset`.

    Raises:
        InputError: there is another dataset of that name, which is not ours.
    """
    if fo.dataset_exists(name):
        dataset = _ours(name)
        if (dataset.group_field is None) == (default_slice is None):
            return dataset
        KeptTags(dataset)
        dataset.delete()
    dataset = fo.Dataset(name, persistent=True)
    dataset.info[MARK] = MAKER
    dataset.save()
    if default_slice is not None:
        dataset.add_group_field(GROUP_FIELD, default=default_slice)
    return dataset


def forget(name: str) -> None:
    """Remove a dataset of ours, and the tags that were given in it.

    Raises:
        InputError: there is none of that name, or it is not ours.
    """
    if not fo.dataset_exists(name):
        known = ", ".join(names()) or "none"
        raise InputError(f"--forget {name}: no such dataset in this database; there are {known}")
    _ours(name).delete()
    forget_tags(name)


def names() -> list[str]:
    """List the names of our datasets."""
    return sorted(found["name"] for found in fo.list_datasets(info={MARK: MAKER}))


def _ours(name: str) -> Any:
    dataset = fo.load_dataset(name)
    if dataset.info.get(MARK) != MAKER:
        raise InputError(f"dataset {name!r} of this database was not made by {MAKER}: it is left alone; rename it")
    return dataset
