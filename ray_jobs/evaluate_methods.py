#!/usr/bin/env python3
"""Evaluate methods on a cluster: the same command as `python -m pbe.evaluate`, its parts spread over encoder slots.

    python ray_jobs/evaluate_methods.py METHOD[=PATH]... --bench COCOEE_DIR --out s3://bucket/run
    ray job submit --working-dir . -- python ray_jobs/evaluate_methods.py METHOD... --bench COCOEE_DIR --out /shared/run

Running the same command again finishes the work.
"""

import os
import sys
from pathlib import Path

OWN_PYTHON = Path(__file__).parent.parent / ".venv/bin/python"

if __name__ == "__main__":
    # `ray job submit ray_jobs/evaluate_methods.py` takes the first python3 there is: go over to this checkout's own.
    if sys.prefix == sys.base_prefix and OWN_PYTHON.exists():
        os.execv(OWN_PYTHON, [str(OWN_PYTHON), *sys.argv])

    from pbe.evaluate import GO_ON
    from pipeline.command import run_command
    from ray_jobs.evaluating import evaluate_methods

    sys.exit(run_command(evaluate_methods, go_on=GO_ON))
