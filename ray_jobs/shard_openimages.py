#!/usr/bin/env python
"""Shard Open Images: box tables and photos -> WebDataset shards of Paint-by-Example samples.

    python ray_jobs/shard_openimages.py [tiny|smoke|paper] [--flags]
    ray job submit --working-dir . -- python ray_jobs/shard_openimages.py paper --out s3://bucket/dataset

Running the same command again finishes the work.
"""

import sys

from ray_jobs.command import run_command
from ray_jobs.sharding import shard_openimages

if __name__ == "__main__":
    sys.exit(run_command(shard_openimages))
