"""Open Images tables and photos -> draws -> shards. Pure functions; no Ray.

In the order of the flow: config, boxes, filters, plan, photos (with photo_headers and colour), crops, masks, exemplars,
draws, encoders, shards, units, manifest, pictures, verify (with verify_units and problems); job ties their beginning
together, ending their end. pairs makes a dataset of masks of one's own: pair_config, pair_folder, pair_table,
pair_store, traced_masks, pair_draws, pair_report. Beside it: rng (all randomness), storage (any fsspec URL), lock,
ahead, errors, command, redaction, rings (for masks), spill and hashing (for the plan), sample_photos (the embedded Open
Images folder).
"""

import time

STARTED = time.monotonic()  # before the heavy imports, which a summary's seconds include
