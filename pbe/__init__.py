"""Shards -> model -> training -> editing -> evaluation. No Ray.

Files in the order of the flow:

    train        the verb: flags -> a trained model
    edit         the verb, and edit() for Python: source, mask, exemplar -> pictures
    convert      the verb: any form of a model -> another
    evaluate     the verb: methods and a bench -> pictures, scores, a report
    app          the verb: a model -> a page where one paints
    leaks        the verb: training photos and a bench -> the photos that are in both
    demo         runs/demo of another version -> the same folder without it
    batch        samples with the randomness of one step: the one type that crosses rooms
    feed/        shards -> batches
    model/       conditioner, UNet, noise schedule, sampler
    weights/     published weights in and out
    training/    config -> a trained model, through DeepSpeed
    editing/     source, mask, exemplar -> pictures
    painting/    a model and a browser's page -> pictures
    evaluation/  a model and unseen photos -> how good it is
"""

from pathlib import Path
from typing import Any


def load_pipeline(folder: str | Path, **options: Any) -> Any:
    """Open an exported model in diffusers; see `pbe.weights.opening`."""
    from pbe.weights import opening  # diffusers and torch take seconds, which most of this package does without

    return opening.load_pipeline(folder, **options)
