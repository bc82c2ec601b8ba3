"""Finished: what a summary and a report follow from -> whether those that are there hold. Imports no torch.

A stamp in OUT/run says of what they were made. Where it still fits, a finished evaluation that is run again opens no
encoder, measures no distance, and leaves its files as they are.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pbe.evaluation.config import EvaluateConfig
from pbe.evaluation.methods.protocol import facts_of
from pbe.evaluation.metrics.encoders.specs import EFFICIENTNETS, PART, read_spec
from pbe.evaluation.overlap.facts import overlap_file
from pbe.evaluation.running.comparison import Comparison, Part
from pbe.evaluation.running.real_features import FILE, list_stamps
from pbe.evaluation.running.records import THREADS, PartRecord
from pbe.evaluation.summary import Summary, read_summary
from pipeline.encoders.facts import stamp_weights
from pipeline.errors import InputError
from pipeline.shards.recipe import digest_of
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute, is_local
from schemas.scores import REPORT, SCORES_TABLE, SUMMARY, TABLE_MD, TABLE_TEX

PLACE = "run/summed.json"
WRITTEN = (SUMMARY, SCORES_TABLE, REPORT, TABLE_MD, TABLE_TEX)
HARMLESS = ("out", "cpus", "retry_failed", "overwrite")  # flags of which no byte depends
_LIBRARIES = ("numpy", "pillow", "pyarrow", "scipy", "torch")
_CODE = Path(__file__).parent.parent  # the room of evaluation
Json = dict[str, Any]


def stamp_inputs(config: EvaluateConfig, comparison: Comparison) -> Json | None:
    """Describe what a summary follows from besides pictures and scores, files by their sizes and times.

    To be called before any of it is read, so that a change meanwhile is seen the next time.

    Returns:
        None: something lies where each file's time would be a request.
    """
    if any(value and not is_local(value) for value in (config.real, config.mixture)):
        return None
    bench = comparison.bench
    files = [absolute(value) for value in (config.mixture, config.real if config.real.endswith(FILE) else "") if value]
    return {
        "flags": {name: value for name, value in asdict(config).items() if name not in HARMLESS},
        "bench": [comparison.digest, bench.name, bench.kind, bench.subset_of, *bench.banners, *bench.notes],
        "lines": [[line.name, line.variant, line.guidance] for line in comparison.lines()],
        "methods": [[method.name, facts_of(method).settings, facts_of(method).notes] for method in comparison.methods],
        "unavailable": comparison.unavailable,
        "encoders": [_stamp_encoder(spec) for spec in config.features],
        "real": list_stamps(config.real) if config.real and not config.real.endswith(FILE) else [],
        "files": [_stamp_file(Path(file)) for file in files],
        "overlap": overlap_file(config.overlap).read_text() if config.overlap else "",
        "code": [_stamp_file(path) for path in sorted(_CODE.rglob("*.py"))],
        "libraries": [version(name) for name in _LIBRARIES],
    }


def find_finished(
    comparison: Comparison, inputs: Json | None, parts: Sequence[Part], records: Mapping[str, PartRecord]
) -> Summary | None:
    """Read the summary that is there; None: it, the report or a part is missing, or of other inputs."""
    out = comparison.out
    try:
        kept = json.loads(out.read_if_there(PLACE) or b"")
        if inputs is None or kept["of"] != _digest(out, inputs, parts, records):
            return None
        contents = {name: out.read(name) for name in WRITTEN}
        if kept["written"] != _digests(contents):
            return None
        return read_summary(contents[SUMMARY], out.path(SUMMARY))
    except (ValueError, KeyError, TypeError, OSError, InputError):  # missing or torn: summed up again
        return None


def keep_finished(out: Folder, inputs: Json | None, parts: Sequence[Part], records: Mapping[str, PartRecord]) -> None:
    """Write down what the summary and the report that were just written follow from."""
    if inputs is not None:
        written = _digests({name: out.read(name) for name in WRITTEN})
        out.write_json(PLACE, {"of": _digest(out, inputs, parts, records), "written": written})


def _digest(out: Folder, inputs: Json, parts: Sequence[Part], records: Mapping[str, PartRecord]) -> str:
    """Digest all that a summary follows from.

    Raises:
        KeyError, OSError: a part has no record, or no scores.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        scores = list(pool.map(lambda part: hashlib.sha256(out.read(part.scores)).hexdigest(), parts))
    made = [hashlib.sha256(records[part.name].to_json()).hexdigest() for part in parts]
    return digest_of([inputs, made, scores])


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _stamp_encoder(spec: str) -> list[Any]:
    """Describe the version of an encoder's weights; those of an EfficientNet are fixed by the code that opens it."""
    read = read_spec(spec)
    return [spec] if read.kind in EFFICIENTNETS else [spec, *stamp_weights("--features", read.place, PART)]


def _stamp_file(path: Path) -> list[Any]:
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns]
