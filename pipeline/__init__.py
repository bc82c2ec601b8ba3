"""Open Images tables and photos -> draws -> shards. Pure functions; no Ray.

In the order of the flow: config, boxes, filters, plan, photos, crops, masks, exemplars, draws, encoders, units, shards,
manifest, pictures. Beside it: rng (all randomness), storage (any fsspec URL), lock, ahead, errors, sample_photos (the embedded
Open Images folder).
"""
