"""Shards: a dataset on disk.

Files in the order of the flow:

    samples       a shard and its index -> samples by key
    records       one JSON file a finished unit and draw -> UnitRecord -> SHARDS
    recipe        all that decides a dataset's bytes
    retry_intent  units that are being made anew <-> run/retry.json
    kept_boxes    plan and records -> how many boxes photos keep, and the share of them that any number of draws takes
    totals        plan and records -> counts, and the sums that must hold
    card          manifest -> card.md
    manifest      recipe, plan and records -> manifest.json, shards.parquet, card.md
"""
