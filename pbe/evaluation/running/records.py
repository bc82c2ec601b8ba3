"""Records: what is known of a part that is done -> whether it holds for what is asked now. Imports no torch."""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from pbe.evaluation.running.comparison import Comparison, Part
from pipeline.errors import InputError
from schemas.scores import PICTURES, row_folder

THREADS = 16
MAX_NAMED = 3


@dataclass(frozen=True)
class PartRecord:
    """A part whose pictures are made.

    Args:
        settings: what decided them, see Comparison.settings_of.
        pictures: by case, by variant: 64 hex digits, see pbe.evaluation.metrics.feature_cache.key_of.
        failed: by case, why there is no picture.
    """

    settings: Mapping[str, Any]
    pictures: Mapping[str, Mapping[str, str]]
    failed: Mapping[str, str]

    def to_json(self) -> bytes:
        """Write it, sorted, without a clock."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()


def read_record(content: bytes | None) -> PartRecord | None:
    """Read a record; None: there is none, or a torn one."""
    try:
        record = PartRecord(**json.loads(content or b""))
    except (ValueError, TypeError):
        return None
    parts = (record.settings, record.pictures, record.failed, *dict(record.pictures).values())
    return record if all(isinstance(part, dict) for part in parts) else None


def find_done(
    comparison: Comparison, parts: Iterable[Part], *, overwrite: bool, retry_failed: bool
) -> dict[str, PartRecord]:
    """Read the records of parts that need not be made again, by the part's name.

    A part of which a picture is gone is made again.

    Raises:
        InputError: a part was made with other settings, and is not to be overwritten.
    """
    listed, out = list(parts), comparison.out
    folders = sorted({row_folder(row) for part in listed for row in part.rows.values()})
    with ThreadPoolExecutor(THREADS) as pool:
        names = pool.map(lambda folder: set(out.names(f"{PICTURES}/{folder}")), folders)
        there = dict(zip(folders, names, strict=True))
        records = list(pool.map(lambda part: read_record(out.read_if_there(part.record)), listed))
    done, changed = {}, {}
    for part, record in zip(listed, records, strict=True):
        if record is None:
            continue
        if difference := _difference(record.settings, comparison.settings_of(part)):
            changed[part.name] = difference
        elif _is_complete(part, record, there) and not (retry_failed and record.failed):
            done[part.name] = record
    if changed and not overwrite:
        named = "; ".join(f"{name} ({what})" for name, what in list(changed.items())[:MAX_NAMED])
        raise InputError(
            f"--out {out.url}: holds {len(changed)} parts made otherwise: {named}; give another --out, or --overwrite "
            "to make them again"
        )
    return done


def _is_complete(part: Part, record: PartRecord, there: Mapping[str, set[str]]) -> bool:
    """Whether a record speaks of just these cases and rows, and all its pictures are there."""
    if {case.name for case in part.cases} != record.pictures.keys() | record.failed.keys():
        return False
    return all(
        variants.keys() == part.rows.keys()
        and all(f"{case}.png" in there[row_folder(row)] for row in part.rows.values())
        for case, variants in record.pictures.items()
    )


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Describe in what two settings differ; empty: in nothing."""
    was, now_is = _flat(before), _flat(json.loads(json.dumps(now)))
    changed = [name for name in {**was, **now_is} if was.get(name) != now_is.get(name)]
    return ", ".join(f"{name} {was.get(name)} -> {now_is.get(name)}" for name in changed)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
