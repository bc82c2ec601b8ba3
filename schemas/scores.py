"""Scores: one row for each case and row of a comparison, and where each file of an evaluation lies.

A comparison has rows: a method, one of its variants, one guidance scale. Their names are unique in it.
"""

import re

import pyarrow as pa

SCORES = pa.schema(
    [
        pa.field("row", pa.string()),  # of the comparison's table: method, variant, guidance
        pa.field("method", pa.string()),
        pa.field("case", pa.string()),
        pa.field("label", pa.string()),  # of the exemplar's object; empty: not known
        pa.field("guidance", pa.float64()),  # null: the method takes none
        pa.field("seed", pa.int64()),
        pa.field("picture", pa.string()),  # relative to the evaluation; empty where the case failed
        pa.field("failed", pa.string()),  # why; empty where there is a picture
        pa.field("clip_score_official", pa.float64()),  # 100 x cosine, CLIP ViT-B/32 only
        pa.field("clip_score_fixed", pa.float64()),
        pa.field("similarity", pa.map_(pa.string(), pa.float64())),  # encoder's name -> cosine, -1..1
        pa.field("exemplar_colour", pa.float64()),  # CIELAB distance of mean colours, hole and exemplar
        pa.field("quality", pa.float64()),  # 100 x min(max(log likelihood / 300, 0), 1)
        pa.field("copy_paste", pa.float64()),  # correlation of exemplar and hole, -1..1
        pa.field("copied", pa.bool_()),  # copy_paste above the threshold; null: there is no threshold
        pa.field("outside_exact", pa.bool_()),  # nothing outside the mask changed
        pa.field("outside_psnr", pa.float64()),  # dB; null where outside_exact, or there is no outside
        pa.field("outside_ssim", pa.float64()),  # -1..1
        pa.field("outside_colour", pa.float64()),  # mean difference in CIELAB
        pa.field("seam", pa.float64()),  # gradient across the mask's edge / elsewhere
    ]
)

BENCH_CASES = pa.schema(
    [
        pa.field("case", pa.string()),
        pa.field("source", pa.string()),  # absolute path or URL, as are the other files; empty: there is none
        pa.field("mask", pa.string()),
        pa.field("box", pa.string()),  # x0,y0,x1,y1 in px where there is no mask
        pa.field("exemplar", pa.string()),
        pa.field("exemplar_mask", pa.string()),
        pa.field("ground_truth", pa.string()),
        pa.field("label", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("digests", pa.map_(pa.string(), pa.string())),  # source, mask ... -> 16 hex digits of its sha256
    ]
)

ADDED_LATER = ("exemplar_colour",)  # to SCORES; earlier evaluations lack it

SIMILARITY = "similarity:"  # and an encoder's name: names a value of the map

SUMMARY = "summary.json"
SCORES_TABLE = "scores.parquet"
REPORT = "report.html"
TABLE_MD = "table.md"
TABLE_TEX = "table.tex"
BENCH = "bench.parquet"  # BENCH_CASES
EVALUATION = "evaluation.json"  # what was asked for: names an evaluation's folder
PICTURES = "pictures"

SAFE_ROW = re.compile(r"[A-Za-z0-9_.=-]+")


def row_folder(row: str) -> str:
    """Name the folder of a row's files: its name with what a path could not hold replaced."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "_", row).strip("._") or "_"


def picture_path(row: str, case: str) -> str:
    """Where a row's picture of a case lies, relative to the evaluation."""
    return f"{PICTURES}/{row_folder(row)}/{case}.png"


def as_scores(table: pa.Table) -> pa.Table:
    """Bring a table that was read into the form of SCORES; what an earlier version did not measure is null.

    Raises:
        KeyError, pa.ArrowException: it is no table of scores.
    """
    for name in ADDED_LATER:
        if name not in table.schema.names:
            table = table.append_column(name, pa.nulls(len(table), pa.float64()))
    return table.select(SCORES.names).cast(SCORES)


def score_of(row: dict[str, object], metric: str) -> float | None:
    """Read a row's value of a metric: a column's name, or `similarity:` and an encoder's; None: it has none."""
    if metric.startswith(SIMILARITY):
        value = dict(row["similarity"] or ()).get(metric.removeprefix(SIMILARITY))  # type: ignore[call-overload]
    else:
        value = row[metric]
    return None if value is None else float(value)
