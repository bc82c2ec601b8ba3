"""The only Ray: thin jobs around the pipeline.

Files in the order of the flow:

    shard_openimages     the shard job, to submit or run
    command              its command line -> a config
    sharding             its steps, in order
    cluster              joins the Ray that the job was submitted to, or starts one
    units_on_ray         unit tasks -> records, by a pool of encoder actors
    verify_shards        the verify job
    verifying            its steps, in order
    verification_on_ray  units -> what is wrong with them, in parallel
    evaluate_methods     the evaluation job, to submit or run
    evaluating           its steps: those of pbe.evaluate, with parts made on a cluster
    evaluation_on_ray    parts -> pictures and scores, by a pool of actors
"""

import os

# Ray reads these when it is imported, which some module of this folder does: no usage reports; and, where this job
# starts Ray itself, no listening beyond loopback, and no token file.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if os.environ.get("RAY_ADDRESS", "") in ("", "local"):
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
