"""Several trainings in one group of processes: process start and imports cost more than such small trainings.

torchrun ... -m tests.pbe.train_many FILE: a JSON list of command lines, each run after the one before it.
"""

import json
import sys
from pathlib import Path

import torch

from pbe.ranks import find_place, joined
from pbe.train_command import main

if __name__ == "__main__":
    torch.set_num_threads(1)
    codes = []
    with joined(find_place(), timeout_seconds=45):
        for arguments in json.loads(Path(sys.argv[1]).read_text()):
            codes.append(main(arguments))
    print(f"codes {codes}", flush=True)
