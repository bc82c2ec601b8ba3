"""Cut note: what a bench that was cut from a dataset is, beside its table <-> bench.json."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from schemas.shards import json_bytes

TABLE, NOTE = "cases.csv", "bench.json"
FORMAT = "bench cut by pbe.evaluate"
KINDS = {"finished": bool, "name": str, "shares_exemplar": bool, "subset_of": int, "request": dict}


@dataclass(frozen=True)
class CutNote:
    """What the table alone does not say.

    Args:
        request: what decided the cases: dataset, split, exemplar, limit, seed.
        finished: all its files are written.
        name, banners, notes, shares_exemplar, subset_of: see Bench.
    """

    request: Mapping[str, Any]
    finished: bool = False
    name: str = ""
    banners: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shares_exemplar: bool = False
    subset_of: int = 0


def note_bytes(note: CutNote) -> bytes:
    """Write the note of a bench."""
    return json_bytes({"format": FORMAT, **asdict(note)})


def read_note(folder: Folder) -> CutNote | None:
    """Read the note beside a table; None: there is none.

    Raises:
        InputError: it is damaged, or something else.
    """
    content = folder.read_if_there(NOTE)
    if content is None:
        return None
    try:
        fields = json.loads(content)
        if fields.pop("format") != FORMAT or any(type(fields[name]) is not kind for name, kind in KINDS.items()):
            raise ValueError("its fields are others")
        banners, notes = (tuple(map(str, fields.pop(name))) for name in ("banners", "notes"))
        return CutNote(**fields, banners=banners, notes=notes)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{folder.url}/{NOTE}: is not the note of a bench ({error}); remove the folder and cut the bench again, or "
            "remove the note, and the table is one of your own"
        ) from error
