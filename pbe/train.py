#!/usr/bin/env python3
"""Train Paint by Example: shards -> checkpoints, metrics and a model folder.

    python pbe/train.py [tiny|smoke|paper|24gb] [--flags]
    deepspeed --hostfile hostfile pbe/train.py paper --data s3://bucket/pbe --out /shared/run
    torchrun --nproc-per-node 8 pbe/train.py paper --data s3://bucket/pbe --out /shared/run

Running the same command again goes on from the newest checkpoint.
"""

import sys

if __name__ == "__main__":
    from pbe.train_command import main

    sys.exit(main(sys.argv[1:]))
