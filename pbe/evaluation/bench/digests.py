"""Digests: a bench -> those of its files, and 16 hex digits that another bench, or a changed file, does not have."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from pbe.editing.records import digest_input
from pbe.evaluation.bench.cases import Bench
from pbe.evaluation.bench.recorded import files_of
from schemas.shards import json_bytes

THREADS = 8

Digests = Mapping[str, Mapping[str, str]]
"""By case, by what a file is: 16 hex digits of its content's sha256."""


def digest_files(bench: Bench) -> Digests:
    """Digest the files of a bench, each that several cases share once.

    Raises:
        InputError: a file cannot be read.
    """
    files = {path: what for case in bench.cases for what, path in files_of(case).items()}
    with ThreadPoolExecutor(THREADS) as pool:
        digests = dict(zip(files, pool.map(digest_input, files, files.values()), strict=True))
    return {case.name: {what: digests[path] for what, path in files_of(case).items()} for case in bench.cases}


def digest_of_bench(bench: Bench, digests: Digests | None = None) -> str:
    """Digest names, seeds, labels, boxes and the content of all files: 16 hex digits.

    Neither where the files lie, nor the order of the cases, matters.

    Args:
        digests: of its files, where they are known.

    Raises:
        InputError: a file cannot be read.
    """
    known = digests or digest_files(bench)
    rows = [[case.name, case.seeds, case.label, case.box, dict(known[case.name])] for case in bench.cases]
    return hashlib.sha256(json_bytes(sorted(rows, key=lambda row: str(row[0])))).hexdigest()[:16]
