"""Names: a folder's URL -> the stable name of its FiftyOne dataset, so that looking again updates it."""

import hashlib
import re

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")
_PARTS, _DIGITS, _LONGEST = 2, 6, 60


def dataset_name(url: str) -> str:
    """Name a folder by its last two parts and a digest of its absolute URL, `demo-dataset-3fa2c1`."""
    parts = [part for part in url.split("://")[-1].split("/") if part][-_PARTS:]
    plain = _NOT_PLAIN.sub("-", "-".join(parts)).strip("-")[-_LONGEST:].strip("-") or "dataset"
    return f"{plain}-{hashlib.sha256(url.encode()).hexdigest()[:_DIGITS]}".lower()
