"""Next steps: a finished dataset -> the command that trains on it."""

import json
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pipeline.encoders.names import SHIPPED, UNTRAINED, is_path, recorded_word
from pipeline.hints import command_line, short_path
from pipeline.shards.manifest import read_config, read_manifest
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.shards import SHARDS_TABLE, SPLITS

# The trainer's presets of one process: from the shipped model, from nothing, in Stable Diffusion's size.
OF_SHIPPED, SMALL, LARGE = "tiny", "smoke", "24gb"
BATCHES = {OF_SHIPPED: 2, SMALL: 2, LARGE: 16}
CHANNELS = 4  # of a latent that the weights fit which LARGE starts from


def train_line(out: Folder) -> str:
    """Say how to train on a finished dataset: one command, which runs as it is printed; or why there is none."""
    manifest = read_manifest(out)
    smallest = min(train_samples(out, manifest["draws"]))
    if not smallest:  # an epoch takes one draw
        return f"no training on it: a draw has no sample in the {SPLITS[0]} split; take more photos, or --split-shares"
    names, given = manifest["encoders"], read_config(out)
    encoders = {flag: str(given.get(flag, "")) for flag in ("vae", "clip")}
    encoders |= {flag: word for flag, name in names.items() if (word := recorded_word(str(name)))}
    if not all(encoders.values()):
        # It was copied without run/.
        return "to train on it, give pbe.train the encoders that made it: --vae and --exemplar-encoder"
    kinds = set(encoders.values())
    preset = OF_SHIPPED if kinds == {SHIPPED} else SMALL if kinds == {UNTRAINED} else LARGE
    words = ["python", "-m", "pbe.train", preset]
    flags = {"data": short_path(out.url)}
    if preset == LARGE:
        flags |= {"vae": short_path(encoders["vae"]), "exemplar_encoder": short_path(encoders["clip"])}
        if manifest["recipe"]["vae"]["channels"] != CHANNELS:
            words.append("--no-prior")
        elif root := _model_of(encoders["vae"]):
            flags["init_from"] = short_path(root)
            words += prediction_words(Path(root))
    run = f"{out.url.rstrip('/')}-train" if out.local else f"{PurePosixPath(out.url).name}-train"
    return f"train on it: {command_line(*words, **flags, **batch_flags(preset, smallest), out=short_path(run))}"


def _model_of(vae: str) -> str:
    """Name the model that a VAE is a part of; empty: of none that is known, so that the preset's own will do."""
    if not is_path(vae):
        return vae.partition(":")[0] if ":" in vae else ""
    return next((str(root) for root in (Path(vae), Path(vae).parent) if (root / "unet").is_dir()), "")


def prediction_words(model: Path) -> list[str]:
    """Give the flags that the trainer needs to start from a folder: `--prediction v` where it predicts velocities.

    Both diffusers' files and this project's may say so. A damaged one says nothing: the trainer refuses it by name.
    """
    said = set()
    for name, field in (("pbe.json", "prediction"), ("scheduler/scheduler_config.json", "prediction_type")):
        with suppress(OSError, ValueError):
            content = json.loads((model / name).read_bytes())
            said.add(content.get(field) if isinstance(content, dict) else None)
    return ["--prediction", "v"] if said & {"v", "v_prediction"} else []


def train_samples(out: Folder, draws: int) -> list[int]:
    """Count the samples to train on, by draw."""
    counts = [0] * draws
    table = table_from(out.read(SHARDS_TABLE), ["split", "draw", "samples"])
    for row in table.to_pylist():
        counts[row["draw"]] += row["samples"] * (row["split"] == SPLITS[0])
    return counts


def batch_flags(preset: str, smallest: int) -> dict[str, str]:
    """Give the flags of a batch that every epoch can fill, in two lanes as long as there are two samples.

    Args:
        smallest: samples of an epoch, 1 or more.
    """
    if smallest >= BATCHES[preset]:
        return {}
    return {"batch_size": str(smallest - smallest % 2)} if smallest > 1 else {"batch_size": "1", "lanes": "1"}
