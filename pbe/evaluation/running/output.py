"""Output: --out -> the place of this evaluation, or why it cannot be. Imports no torch."""

import json
from pathlib import Path

from pbe.evaluation.bench.cases import Bench
from pbe.evaluation.bench.cutting import BENCH_FOLDER
from pbe.evaluation.bench.digests import Digests, digest_files, digest_of_bench
from pbe.evaluation.running.comparison import Comparison
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.writable import refuse_unwritable
from schemas.scores import BENCH, EVALUATION

FORMAT = 1
CACHE = "run/cache"  # what is there depends on which process made what
BEGUN = {"run", BENCH_FOLDER, BENCH}  # what one that was stopped may leave before it says what it is
MAX_NAMED = 3


def refuse_foreign(out: Folder) -> None:
    """Refuse an output that holds something else than an evaluation; nothing is made.

    Raises:
        InputError: it is a file, or a folder of other things.
    """
    try:
        if out.local:
            refuse_unwritable(f"--out {out.url}", Path(out.path("")))
        if out.read_if_there(EVALUATION) is not None:
            return
        others = [name for name in out.names("") if name not in BEGUN and not name.startswith(".")]
    except OSError as error:
        if not out.local:  # what storage says is told from mistakes elsewhere
            raise
        raise InputError(f"--out {out.url}: cannot be read ({error}); give a folder that can be written") from error
    if others:
        named = ", ".join([*others[:MAX_NAMED], *(["..."] if len(others) > MAX_NAMED else [])])
        raise InputError(f"--out {out.url}: holds no evaluation, but {named}; give a new folder, or an empty one")


def digests_if_checked(out: Folder, bench: Bench) -> Digests | None:
    """Digest a bench's files if the output says that this very bench has been looked at; None: it does not."""
    content = out.read_if_there(EVALUATION)
    if not content:
        return None
    try:
        expected, digests = json.loads(content)["bench"]["digest"], digest_files(bench)
    except (ValueError, KeyError, TypeError, InputError):
        return None
    return digests if expected == digest_of_bench(bench, digests) else None


def claim_output(comparison: Comparison) -> None:
    """Write down which bench an output is of; refuse one of another.

    Raises:
        InputError: it holds an evaluation of another bench, or something else.
    """
    out, bench = comparison.out, comparison.bench
    facts = {"name": bench.name, "kind": bench.kind, "cases": len(bench.cases), "digest": comparison.digest}
    content = out.read_if_there(EVALUATION)
    if content is None:
        out.write_json(EVALUATION, {"format": FORMAT, "bench": facts})
        return
    try:
        before = json.loads(content)
        other, newer = before["bench"]["digest"] != comparison.digest, before["format"] > FORMAT
        was = f"{before['bench']['name']}, {before['bench']['cases']} cases"
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{out.url}/{EVALUATION}: is not that of an evaluation ({error}); give another --out"
        ) from error
    if newer:
        raise InputError(f"--out {out.url}: was made by a later version of this command; update, or give another --out")
    if other:
        raise InputError(
            f"--out {out.url}: holds an evaluation of another bench ({was}) than this one ({bench.name}, "
            f"{len(bench.cases)} cases), or of files that have changed since; give --bench, --limit and --seed as "
            "before, or another --out"
        )
