"""Verify shards: re-hash and re-count a dataset, in parallel; exit 1 on any difference.

python ray_jobs/verify_shards.py DATASET [--fraction f]
"""

import sys

from pipeline.command import run_command
from ray_jobs.verifying import verify_shards

if __name__ == "__main__":
    sys.exit(run_command(verify_shards, go_on="then verify again"))
