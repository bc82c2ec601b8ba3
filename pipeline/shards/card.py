"""Card: a manifest -> a page that describes the dataset."""

from pipeline.shards.kept_boxes import share_drawn, share_table
from pipeline.shards.recipe import Json
from pipeline.shards.totals import JITTERED


def card(manifest: Json) -> str:
    """Describe a dataset: counts, funnel and lineage."""
    totals, recipe, encoders = manifest["totals"], manifest["recipe"], manifest["encoders"]
    splits = "\n".join(f"| {split} | {count:,} |" for split, count in totals["samples_by_split"].items())
    funnel = "\n".join(f"| {stage} | {reason} | {count:,} |" for stage, reason, count in funnel_rows(totals))
    tables = "\n".join(
        f"| {t['role']} | {t['rows']:,} | {t['bytes']:,} | `{t['sha256'][:16]}` |" for t in recipe["inputs"]
    )
    libraries = ", ".join(f"{name} {version}" for name, version in recipe["libraries"].items())
    return f"""# Paint-by-Example shards

{describe_samples(totals)} of {totals["photos_planned"] - totals["photos_lost"]:,} photos in {manifest["shards"]:,}
shards, {recipe["resolution"]} px, {manifest["draws"]} draws a photo, seed {recipe["seed"]}, filters
{" ".join(recipe["filters"]) or "none"}. Recipe `{manifest["recipe_digest"][:16]}`.

| split | samples |
|---|---|
{splits}

## Funnel

| stage | reason | count |
|---|---|---|
{funnel}

## Kept boxes drawn

{share_drawn(totals)} of the kept boxes of its photos, lost photos aside.{_shares(totals)}

## Lineage

| table | rows | bytes | sha256 |
|---|---|---|---|
{tables}

- VAE: {encoders["vae"]}, {recipe["vae"]["channels"]} channels at 1/{recipe["vae"]["factor"]}, fingerprint
  `{recipe["vae"]["fingerprint"][:16]}`
- Exemplar encoder: {encoders["clip"]}, {recipe["clip"]["dimension"]} numbers, fingerprint
  `{recipe["clip"]["fingerprint"][:16]}`
- Made with {libraries}
"""


def describe_samples(totals: Json) -> str:
    """Count the samples, and of these the jittered ones where some were to be: `72 samples (34 jittered)`."""
    jittered = f" ({totals[JITTERED]:,} jittered)" if JITTERED in totals else ""
    return f"{totals['samples']:,} samples{jittered}"


def _shares(totals: Json) -> str:
    table = share_table(totals)
    if not table:
        return ""
    rows = "\n".join(f"| {draws} | {share} |" for draws, share in table.items())
    return f" By draws a photo, of the same plan:\n\n| draws | drawn |\n|---|---|\n{rows}"


def funnel_rows(totals: Json) -> list[tuple[str, str, int]]:
    """List the funnel: stage, reason, count; losses stand below what they are lost from."""
    return [
        ("box rows", "read", totals["rows"]),
        *(("malformed", reason, count) for reason, count in sorted(totals["malformed"].items())),
        *(("filtered", rule, count) for rule, count in sorted(totals["filtered"].items())),
        ("boxes", "kept", totals["boxes_kept"]),
        ("boxes", "beyond --limit", totals["boxes_beyond_limit"]),
        ("boxes", "in lost photos", totals["boxes_in_lost_photos"]),
        ("boxes", "not drawn", totals["boxes_not_drawn"]),
        ("boxes", "drawn", totals["boxes_drawn"]),
        ("draws", "planned", totals["draws_planned"]),
        *(("draws dropped", reason, count) for reason, count in sorted(totals["draws_dropped"].items())),
        ("samples", "written", totals["samples"]),
    ]


def is_loss(stage: str, reason: str) -> bool:
    """Whether a row of the funnel counts what left there, or was not used."""
    lost = ("malformed", "filtered", "draws dropped")
    return stage in lost or reason in ("beyond --limit", "in lost photos", "not drawn", "lost")
