"""A tiny Stable Diffusion with random weights, in the size of the trainer's tiny UNet, as a folder."""

import json
from pathlib import Path

from tests.pbe.evaluation.methods.tiny_stable_diffusion import write_pipeline

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def write_prior(out: Path) -> Path:
    folder = write_pipeline(out, in_channels=4)
    config = folder / "scheduler/scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | NOISE))
    return folder
