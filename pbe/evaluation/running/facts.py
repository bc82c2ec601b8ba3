"""Facts: what there is to score with -> the table's columns, and what a reader must be told. Imports no torch."""

from collections.abc import Mapping, Sequence

from pbe.evaluation.config import EvaluateConfig
from pbe.evaluation.metrics.encoders.names import PAPER_ENCODER
from pbe.evaluation.overlap.facts import NOT_MADE, read_overlap
from pbe.evaluation.running.comparison import Comparison
from pbe.evaluation.running.scorer import Scorer
from pbe.evaluation.running.summing import CopyFacts
from pbe.evaluation.summary import Metric, SetDistance
from pipeline.encoders.names import UNTRAINED
from schemas.scores import SIMILARITY

PAPER_STEPS = "50 by pndm"
MOST_FAULTS = 10  # files that are named
PAPER_CASES = 3500  # of COCOEE; a Fréchet distance of fewer lies higher


def list_metrics(config: EvaluateConfig, scorer: Scorer, copies: CopyFacts) -> list[Metric]:
    """List the columns; those that have no value say why."""
    names = [encoder.name for encoder in scorer.encoders]
    first = names[0] if names else ""
    is_paper = first == PAPER_ENCODER
    no_encoder = "" if names else "no --features: an encoder is needed"
    no_clip = "" if PAPER_ENCODER in names else f"needs --features clip=DIR of {PAPER_ENCODER}"
    no_copies = "the exemplar is cut out of the ground truth" if scorer.shares_exemplar else ""
    few = f"needs 1,000 unrelated pairs; this bench gives {copies.pairs:,}" if copies.threshold is None else ""
    distance = f"FID ({PAPER_ENCODER})" if is_paper else f"Fréchet distance ({first or 'no encoder'})"
    return [
        Metric("frechet", distance, "lower", no_encoder or ("" if config.real else "needs --real: real pictures")),
        Metric(
            "quality",
            f"QS, own mixture ({first or 'no encoder'})",
            "higher",
            no_encoder or ("" if scorer.mixture else "needs --mixture"),
        ),
        Metric("clip_score_official", "CLIP score, official crop", "higher", no_clip),
        Metric("clip_score_fixed", "CLIP score", "higher", no_clip),
        *(Metric(f"{SIMILARITY}{name}", f"Exemplar similarity ({name})", "higher") for name in names),
        Metric("copy_paste", "Copy-paste score", "lower", no_copies),
        Metric("copied", "Copy rate", "lower", no_copies or few),
        Metric("exemplar_colour", "Colour difference to exemplar, CIELAB", "lower"),
        Metric("outside_exact", "Outside exact", "higher"),
        Metric("outside_psnr", "PSNR outside, dB", "higher"),
        Metric("outside_ssim", "SSIM outside", "higher"),
        Metric("outside_colour", "Colour difference outside, CIELAB", "lower"),
        Metric("seam", "Seam", "neither"),
    ]


def list_banners(
    config: EvaluateConfig, comparison: Comparison, scorer: Scorer, distances: Mapping[str, SetDistance]
) -> list[str]:
    """List what must be said loudly: why these numbers are not the paper's."""
    bench, banners = comparison.bench, list(comparison.bench.banners)
    names = [encoder.name for encoder in scorer.encoders]
    if distances and len(bench.cases) < PAPER_CASES:
        floors = [distance.floor for distance in distances.values() if distance.floor is not None]
        floor = f"; real pictures would score {max(floors):.3g}" if floors else ""
        banners.append(
            f"{len(bench.cases):,} cases are too few for a Fréchet distance that is comparable with that of "
            f"{PAPER_CASES:,}{floor}."
        )
    banners += warn_of_encoders(names)
    if scorer.mixture:
        banners.append("QS is measured by a mixture fitted here; the paper's mixture is not published: not comparable.")
    if bench.kind != "cocoee":
        banners.append(f"The bench is {bench.name}, not COCOEE: the reported numbers are of other cases.")
    if config.overlap:
        banners.append(read_overlap(config.overlap).banner())
    return banners


def warn_of_encoders(names: Sequence[str]) -> list[str]:
    """List what must be said of encoders, the first of which is that of the Fréchet distance."""
    said = []
    if names and names[0] != PAPER_ENCODER:
        what = "its distance is not" if PAPER_ENCODER in names else "no number here is"
        said.append(f"Features are those of {names[0]}, not of {PAPER_ENCODER}: {what} comparable with the paper's.")
    untrained = [name for name in names if name.startswith(f"{UNTRAINED} ")]
    if untrained:
        said.append(f"{', '.join(untrained)} has learned nothing: its numbers show that the system works, no more.")
    return said


def list_notes(
    config: EvaluateConfig, comparison: Comparison, scorer: Scorer, copies: CopyFacts, faults: Sequence[str]
) -> list[str]:
    """List what a reader may want to know."""
    bench = comparison.bench
    notes = list(bench.notes)
    if bench.subset_of:
        notes.append(f"{len(bench.cases):,} of {bench.subset_of:,} cases, a seeded choice.")
    if copies.threshold is not None:
        notes.append(
            f"Copied: a copy-paste score above {copies.threshold:.3f}, as 1 % of {copies.pairs:,} unrelated pairs have."
        )
    if not config.overlap:
        notes.append(NOT_MADE)
    notes.append(
        f"Denoising: {config.steps} steps, of our own models by {config.scheduler}; the paper's: {PAPER_STEPS}."
    )
    notes += [f"Encoder {encoder.name}: weights {encoder.digest}." for encoder in scorer.encoders]
    more = [f"... and {len(faults) - MOST_FAULTS:,} more files"] if len(faults) > MOST_FAULTS else []
    return [*notes, *faults[:MOST_FAULTS], *more]
