"""Learning: real photos -> shards -> a small model trained by the project's own trainer -> how much it uses exemplars.

    python -m tests.benchmarks.learning [--flags]

Needs `pip install -e '.[scores]'` and the two photo folders. Latents are pixels, 3 x 8 x 8 in [-2, 2]; exemplar
vectors are features of an EfficientNet-Lite0 trained on ImageNet (no CLIP). Measured on photos of the validation split,
one draw a photo, with the moving average of the weights, inside the hole only, and with the same noise under every
condition. Running the same command again takes up finished parts.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import tyro

from examples.small_model.losses import numbers_of, table_of
from pbe.batch import Batch
from pbe.evaluation.exemplar_use import OTHER, UNCONDITIONAL, ExemplarUse, measure_exemplar_use
from pbe.feed.config import FeedConfig
from pbe.feed.fixed_batches import fixed_batches
from pbe.model.paint_by_example import count_parameters
from pbe.model.prediction import Prediction
from pbe.weights.building import build_model
from pbe.weights.reading import read_weights
from tests.benchmarks.learning.dataset import make_dataset
from tests.benchmarks.learning.figure import draw_figure
from tests.benchmarks.learning.leaks import find_twins, read_index

ROOT = Path(__file__).parent.parent.parent.parent
GOAL_AT = 750


@dataclass(frozen=True)
class Config:
    """Train a small model on real photos, and measure on unseen ones by how much the right exemplar helps."""

    photos: Path = Path("../shared/data")
    """Holds `openimages_v6_train100` and `realset256`, photos with boxes in Open Images form."""
    out: Path = Path("runs/learning")
    """Where training, `result.json` and `learning.png` go."""
    dataset: Path | None = None
    """Where the dataset goes, or is already. Default: OUT/dataset."""
    draws: int = 8
    """Draws a photo."""
    limit: int = 0
    """Photos to take. 0: all."""
    steps: int = 2000
    """Steps of the training."""
    measure_at: tuple[int, ...] = ()
    """Steps on the way, ascending, at which to measure, too, into `on-the-way.json`."""
    prediction: Prediction = "epsilon"
    """What the UNet predicts."""
    min_snr: float = 0.0
    """Gamma of the min-SNR weights. 0: none."""
    hole_weight: float = 1.0
    """Weight of the hole's cells in what is minimised."""
    batch_size: int = 32
    """Samples of a step."""
    lr: float = 2e-3
    """Learning rate."""
    ema: float = 0.998
    """Decay of the moving average of the weights."""
    threads: int = 1
    """Threads for making the dataset, and for training and measuring."""
    seed: int = 0
    """Decides the first weights, the order of samples and the noise."""


@dataclass(frozen=True)
class Cost:
    """What a training took, from its first step on, whatever interrupted it."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.cpu_seconds / 60:.1f} min of one core ({self.wall_seconds / 60:.1f} min by the clock)"


def main() -> None:
    config = tyro.cli(Config, description=f"{Config.__doc__} {__doc__}", prog="python -m tests.benchmarks.learning")
    began = time.perf_counter()

    def say(line: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {line}", flush=True)

    dataset = config.dataset or config.out / "dataset"
    make_dataset(config.photos, dataset, draws=config.draws, workers=config.threads, limit=config.limit, say=say)
    config.out.mkdir(parents=True, exist_ok=True)
    measure_on_the_way(config, dataset, say)
    cost = train(config, dataset)
    say(f"training took {cost}")
    result = measure(config, dataset)
    say("measured")
    print(table_of(result))
    write_results(config, result, cost)


def measure_on_the_way(config: Config, dataset: Path, say: Callable[[str], None]) -> None:
    """Train to each step of --measure-at and measure there; what `on-the-way.json` holds is not measured again."""
    record = config.out / "on-the-way.json"
    found = json.loads(record.read_text()) if record.exists() else {}
    for steps in (steps for steps in config.measure_at if str(steps) not in found):
        on_the_way = replace(config, steps=steps)
        train(on_the_way, dataset)
        use = measure(on_the_way, dataset)
        found[str(steps)] = {str(at): asdict(use.ratio(OTHER, at)) for at in use.timesteps}
        record.write_text(json.dumps(found, indent=1) + "\n")
        say(f"step {steps}, t = {GOAL_AT}: another photo's / right {use.ratio(OTHER, GOAL_AT)}")


def train(config: Config, dataset: Path) -> Cost:
    """Run the project's training command, or go on with it; `cost.json` adds up what it takes."""
    record = config.out / "cost.json"
    before = Cost(**json.loads(record.read_text())) if record.exists() else Cost()
    began, cpu_began = time.perf_counter(), _children_seconds()
    try:
        environment = {**os.environ, "OMP_NUM_THREADS": str(config.threads)}
        subprocess.run(training_command(config, dataset), check=True, env=environment)
    finally:
        wall, cpu = time.perf_counter() - began, _children_seconds() - cpu_began
        cost = Cost(before.wall_seconds + wall, before.cpu_seconds + cpu)
        record.write_text(json.dumps(asdict(cost)) + "\n")
    return cost


def training_command(config: Config, dataset: Path) -> list[str]:
    """Write the training's command line."""
    flags = {
        "data": dataset,
        "out": config.out / "train",
        "model": "small",
        "vae": "none",
        "clip": "none",
        "mapper-blocks": 1,
        "steps": config.steps,
        "batch-size": config.batch_size,
        "lanes": 8,
        "lr": config.lr,
        "warmup-steps": 100,
        "ema": config.ema,
        "prediction": config.prediction,
        "min-snr": config.min_snr,
        "hole-weight": config.hole_weight,
        "save-every": 500,
        "eval-every": 500,
        "keep-last": 1,
        "workers": 1,
        "seed": config.seed,
    }
    command = [sys.executable, str(ROOT / "pbe/train.py"), "smoke"]
    return command + [part for name, value in flags.items() for part in (f"--{name}", str(value))]


def _children_seconds() -> float:
    """Seconds of CPU time that ended children took so far, all their threads together."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(config: Config, dataset: Path) -> ExemplarUse:
    """Measure the exported model on the validation photos that have no twin in the train split."""
    index = read_index(dataset)
    twins = find_twins(index)
    validation = index["validation"]
    excluded = set(validation["key"][twins].tolist())
    labels = dict(zip(validation["key"].tolist(), validation["label"].tolist(), strict=True))
    print(
        f"{len(labels)} unseen photos, {len(excluded)} of them left out: like one of the {len(index['train']['key'])}"
    )
    feed = FeedConfig(str(dataset), split="validation", seed=config.seed, batch_size=32, lanes=1, drop_share=0)
    batches = [leave_out(batch, excluded) for batch in fixed_batches(feed)]
    classes = [labels[key] for batch in batches for key in batch.keys if key in labels and key not in excluded]
    weights = read_weights(str(config.out / "train/model"))
    assert (weights.note["weights"], weights.note["step"]) == ("ema", config.steps), weights.note
    model = build_model(weights)
    print(f"{count_parameters(model.unet):,} parameters in the UNet, {count_parameters(model.conditioner):,} beside it")
    torch.set_num_threads(config.threads)
    return measure_exemplar_use(model, batches, classes=classes, seed=config.seed)


def leave_out(batch: Batch, keys: set[str]) -> Batch:
    """Take samples out of a batch by weight 0."""
    kept = torch.tensor([float(key not in keys) for key in batch.keys])
    return replace(batch, weights=batch.weights * kept)


def write_results(config: Config, use: ExemplarUse, cost: Cost) -> None:
    """Write result.json and learning.png."""
    content = {"config": asdict(config), "training": asdict(cost), **numbers_of(use)}
    (config.out / "result.json").write_text(json.dumps(content, indent=1, default=str) + "\n")
    minutes = f"{cost.cpu_seconds / 60:.0f} min of one CPU core"
    title = f"Unseen photos, {config.steps:,} training steps in {minutes}, intervals of 95 %"
    draw_figure(config.out / "learning.png", use, title=title)
    ratio, gain = use.ratio(OTHER, GOAL_AT), use.gain(UNCONDITIONAL, GOAL_AT)
    print(f"t = {GOAL_AT}: another photo's / right {ratio}; unconditional - right > 0: {gain.low > 0}")
    print(f"written: {config.out / 'result.json'}, {config.out / 'learning.png'}")


if __name__ == "__main__":
    main()
