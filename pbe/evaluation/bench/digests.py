"""Digests: a bench -> 16 hex digits that another bench, or a changed file of this one, does not have."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

from pbe.editing.inputs import read_file
from pbe.evaluation.bench.cases import Bench
from schemas.shards import json_bytes

THREADS = 8


def digest_of_bench(bench: Bench) -> str:
    """Digest names, seeds, labels, boxes and the content of all files: 16 hex digits.

    Neither where the files lie, nor the order of the cases, matters.

    Raises:
        InputError: a file cannot be read.
    """
    files = {path: what for case in bench.cases for what, path in {**case.inputs, **case.evaluated}.items()}
    with ThreadPoolExecutor(THREADS) as pool:
        digests = dict(zip(files, pool.map(_sha256, files, files.values()), strict=True))
    rows = [
        [
            case.name,
            list(case.seeds),
            case.label,
            case.box,
            {what: digests[path] for what, path in {**case.inputs, **case.evaluated}.items()},
        ]
        for case in sorted(bench.cases, key=lambda case: case.name)
    ]
    return hashlib.sha256(json_bytes(rows)).hexdigest()[:16]


def _sha256(path: str, what: str) -> str:
    return hashlib.sha256(read_file(path, what)).hexdigest()
