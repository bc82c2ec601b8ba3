"""Class names: a table of labels and names -> label -> name."""

import csv

from pipeline.errors import InputError
from pipeline.storage.retries import read_bytes
from pipeline.storage.urls import filesystem


def read_class_names(url: str, *, anonymous: bool) -> dict[str, str]:
    """Read a class-names table: label, name, with or without a header line.

    Raises:
        InputError: it is missing or empty, has no second column, or gives a label two names.
    """
    fs, path = filesystem(url, anonymous=anonymous)
    try:
        rows = list(csv.reader(read_bytes(fs, path).decode("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--classes {url}: {error}; give a CSV of label and name") from error
    for line, row in enumerate(rows, start=1):
        if row and len(row) < 2:
            raise InputError(f"--classes {url}: line {line}: {row!r} has no name; give a CSV of label and name")
    names: dict[str, str] = {}
    for line, row in enumerate(rows, start=1):
        earlier = names.setdefault(row[0], row[1]) if row else ""
        if row and earlier != row[1]:
            raise InputError(f"--classes {url}: line {line}: {row[0]} is {row[1]!r}, before {earlier!r}; leave one")
    found = {label: name for label, name in names.items() if label not in ("LabelName", "id")}
    if not found:
        raise InputError(f"--classes {url}: no rows; give a CSV of label and name, or leave --classes out")
    return found
