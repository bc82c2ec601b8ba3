"""The only Ray: thin jobs around the pipeline.

shard_openimages.py   the shard job, to run or to submit
command.py            its command line -> a config
sharding.py           its steps, and the cluster that it opens once there is work
units_on_ray.py       units -> results, by a pool of encoder actors
verify_shards.py      the verify job, to run or to submit
verifying.py          its steps
cluster.py            joining or starting Ray, and what fits there
"""

import os

# Ray reads these when it is imported, which some module of this folder does: no usage reports; and, where this job
# starts Ray itself, no listening beyond loopback, and no token file.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if "RAY_ADDRESS" not in os.environ:
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
