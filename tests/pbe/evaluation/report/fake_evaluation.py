"""A fake evaluation: scikit-image's photos, methods that paste, blur or fail, and scores drawn at random."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from skimage import data

from pbe.editing.case import Case
from pbe.editing.records import digest_input
from pbe.evaluation.bench.cases import Bench
from pbe.evaluation.bench.recorded import cases_table, files_of
from pbe.evaluation.summary import BenchFacts, Difference, Mean, Metric, Row, SetDistance, Summary
from pipeline.arrays import Pixels
from pipeline.rng import rng_for
from schemas.scores import BENCH, SCORES, SCORES_TABLE, SUMMARY, picture_path

PHOTOS = {"astronaut": "Person", "chelsea": "Cat", "coffee": "Coffee cup", "rocket": "Rocket"}
DINO = "similarity:DINO-style tower"
METRICS = (
    Metric("frechet", "Fréchet distance (tiny CLIP)", "lower"),
    Metric("quality", "QS", "higher", "no mixture; give --mixture FILE"),
    Metric("clip_score_official", "CLIP score", "higher"),
    Metric(DINO, "similarity (DINO-style tower)", "higher"),
    Metric("copy_paste", "copy-paste", "neither"),
    Metric("copied", "copied", "neither"),
    Metric("outside_psnr", "PSNR outside, dB", "higher"),
    Metric("seam", "seam", "lower"),
)
ROWS = (
    Row("identity", "identity", notes=("control: leaves the source as it is",)),
    Row("copy-paste", "copy-paste", notes=("control: pastes the exemplar",)),
    *(Row(f"pbe-crop-g{g}", "pbe", "crop", float(g), notes=("untrained weights",)) for g in (1, 3, 5, 7)),
    *(Row(f"pbe-hole-g{g}", "pbe", "hole", float(g), notes=("untrained weights",)) for g in (1, 3, 5, 7)),
    Row("sd-inpaint", "sd-inpaint", unavailable="there are no weights: give sd-inpaint=DIR"),
    Row("lama-paste-harmonize", "lama-paste-harmonize", notes=("Reinhard colour transfer in place of DCCF",)),
)
NAMES = tuple(row.name for row in ROWS if not row.unavailable)
RAISED = "the method raised RuntimeError: out of memory"


def photos(size: int = 256) -> list[Pixels]:
    """The photos, square."""
    return [cv2.resize(getattr(data, name)(), (size, size), interpolation=cv2.INTER_AREA) for name in PHOTOS]


def write_evaluation(
    folder: Path,
    *,
    cases: int = 12,
    rows: Sequence[Row] = ROWS,
    names: Mapping[int, str] | None = None,
    size: int = 256,
) -> Summary:
    """Write summary.json, scores.parquet, bench.parquet and pictures; the bench's files lie in `folder`/bench.

    Args:
        names: of some cases, by number.
    """
    (folder / "bench").mkdir(parents=True)
    pictures = photos(size)
    bench = [
        _write_case(folder / "bench", (names or {}).get(number, f"{number:04d}"), number, pictures)
        for number in range(cases)
    ]
    ran = [row for row in rows if not row.unavailable]
    scores = [
        _score(folder, row, place, case, number, pictures)
        for place, row in enumerate(ran)
        for number, case in enumerate(bench)
    ]
    digests = {case.name: {what: digest_input(path, what) for what, path in files_of(case).items()} for case in bench}
    (folder / BENCH).write_bytes(cases_table(Bench("fake", "cases", tuple(bench)), digests))
    pq.write_table(pa.Table.from_pylist(scores, SCORES), folder / SCORES_TABLE)
    summary = summarise(rows, scores, cases)
    (folder / SUMMARY).write_bytes(summary.to_json())
    return summary


def summarise(rows: Sequence[Row], scores: Sequence[Mapping[str, Any]], cases: int) -> Summary:
    """Sum the scores up, roughly as an evaluation does."""
    summed = [
        row if row.unavailable else _sum_row(row, [each for each in scores if each["row"] == row.name]) for row in rows
    ]
    ran = [row for row in summed if row.means]
    pairs = [(one, other) for place, one in enumerate(ran) for other in ran[place + 1 :]]
    differences = [
        _differ(key, *pair) for key in ("clip_score_official", "copy_paste") for pair in pairs if key in pair[0].means
    ]
    banners = (
        f"{cases} cases are too few for a Fréchet distance.",
        "The encoder of the Fréchet distance is tiny and untrained.",
    )
    facts = BenchFacts("scikit photos", "cases", cases, "0123456789abcdef")
    return Summary(facts, METRICS, tuple(summed), tuple(differences), banners, ("copied: from a threshold of 0.61",))


def change_summary(folder: Path, **changes: Any) -> None:
    """Write a summary anew with other fields."""
    from pbe.evaluation.summary import read_summary

    summary = read_summary((folder / SUMMARY).read_bytes(), SUMMARY)
    (folder / SUMMARY).write_bytes(replace(summary, **changes).to_json())


def _write_case(folder: Path, name: str, number: int, pictures: Sequence[Pixels]) -> Case:
    size = len(pictures[0])
    source, exemplar = pictures[number % 4], pictures[(number + 1) % 4]
    mask = np.zeros((size, size), np.uint8)
    cv2.ellipse(mask, (size // 2, size // 2), (size // 4, size // 3), 30 * number, 0, 360, 255, -1)
    files = {"source": source, "exemplar": exemplar[size // 8 :], "mask": mask, "ground_truth": source[:, ::-1]}
    paths = {what: str(folder / f"{number}-{what}.png") for what in files}
    for what, pixels in files.items():
        Image.fromarray(pixels).save(paths[what], compress_level=1)
    label = list(PHOTOS.values())[(number + 1) % 4]
    return Case(name=name, label=label, seeds=(number,), **paths)


def _score(folder: Path, row: Row, place: int, case: Case, number: int, pictures: Sequence[Pixels]) -> dict[str, Any]:
    """Score a case at random, and write its picture; some fail, some values are missing."""
    rng = rng_for(0, "fake", row.name, number)
    failed = RAISED if row.method == "lama-paste-harmonize" and number % 5 == 1 else ""
    picture = "" if failed else picture_path(row.name, f"{number:04d}")
    if picture:
        (folder / picture).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_paint(pictures, number, place, row)).save(folder / picture, compress_level=1)
    scores = {} if failed else _values(row, place, number, rng)
    empty = dict.fromkeys(SCORES.names)
    known = {"row": row.name, "method": row.method, "case": case.name, "label": case.label, "guidance": row.guidance}
    return {**empty, **known, "seed": number, "picture": picture, "failed": failed, **scores}


def _values(row: Row, place: int, number: int, rng: np.random.Generator) -> dict[str, Any]:
    scale = row.guidance or 4
    copying = float(np.clip(rng.normal(0.3 + 0.05 * scale + 0.4 * (place == 1), 0.1), -1, 1))
    exact = row.variant == "hole" or row.method in ("identity", "copy-paste")
    return {
        "clip_score_official": float(rng.normal(60 + 8 * np.log(scale) + 10 * (place == 1), 5)),
        "similarity": None if number == 3 else [("DINO-style tower", float(rng.normal(0.5 + 0.03 * scale, 0.08)))],
        "copy_paste": copying,
        "copied": copying > 0.61,
        "outside_exact": exact,
        "outside_psnr": None if exact else float(rng.normal(32, 2)),
        "seam": float(rng.gamma(4, 0.3)),
    }


def _paint(pictures: Sequence[Pixels], number: int, place: int, row: Row) -> Pixels:
    """Paint the hole: the other photo, more washed out at low guidance."""
    source, other = pictures[number % 4].copy(), pictures[(number + 1) % 4]
    half, quarter = len(source) // 2, len(source) // 4
    inside = np.s_[quarter : quarter + half, quarter : quarter + half]
    if row.method != "identity":
        blurred = cv2.GaussianBlur(other, (0, 0), 1 + 12 / (row.guidance or 20) + place / 5)
        source[inside] = cv2.resize(blurred, (half, half), interpolation=cv2.INTER_AREA)
    return source


def _sum_row(row: Row, scores: Sequence[Mapping[str, Any]]) -> Row:
    means = {}
    for metric in METRICS:
        if metric.key == "frechet" or metric.unavailable:
            continue
        values = [
            dict(each["similarity"] or ()).get("DINO-style tower") if metric.key == DINO else each[metric.key]
            for each in scores
        ]
        found = np.array([value for value in values if value is not None], float)
        if len(found):
            half = 1.96 * found.std() / np.sqrt(len(found))
            means[metric.key] = Mean(
                float(found.mean()), float(found.mean() - half), float(found.mean() + half), len(found)
            )
    exact = [each["outside_exact"] for each in scores if each["outside_exact"] is not None]
    means["outside_exact"] = Mean(float(np.mean(exact)), None, None, len(exact))
    failed = sum(bool(each["failed"]) for each in scores)
    distance = SetDistance(9.0 - (row.guidance or 2) / 3 + 2 * len(row.variant) / 5, len(scores) - failed, 40.1, 5.0)
    return replace(row, cases=len(scores), failed=failed, means=means, frechet=distance, copy_normalised=0.41)


def _differ(key: str, first: Row, second: Row) -> Difference:
    one, other = first.means[key], second.means[key]
    value, half = one.value - other.value, 3.0 if key.startswith("clip") else 0.05
    p = float(np.exp(-abs(value) / half * 3))
    return Difference(
        key, first.name, second.name, Mean(value, value - half, value + half, min(one.n, other.n)), p, min(1.0, 9 * p)
    )


def scores_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write rows as scores.parquet."""
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), SCORES), out)
    return out.getvalue()
