#!/usr/bin/env python3
"""Shard Open Images: box tables and photos -> WebDataset shards of Paint-by-Example samples.

    python ray_jobs/shard_openimages.py [tiny|smoke|paper] [--flags]
    ray job submit --working-dir . -- python ray_jobs/shard_openimages.py paper --out s3://bucket/dataset

Running the same command again finishes the work.
"""

import os
import sys
from pathlib import Path

OWN_PYTHON = Path(__file__).parent.parent / ".venv/bin/python"

if __name__ == "__main__":
    # `ray job submit ray_jobs/shard_openimages.py` takes the first python3 there is: go over to this checkout's own.
    if sys.prefix == sys.base_prefix and OWN_PYTHON.exists():
        os.execv(OWN_PYTHON, [str(OWN_PYTHON), *sys.argv])

    from pipeline.command import run_command
    from ray_jobs.sharding import shard_openimages

    sys.exit(run_command(shard_openimages))
