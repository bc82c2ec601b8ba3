"""Commands of the shard job: a command line -> a config."""

from dataclasses import replace
from pathlib import Path

import tyro

from pipeline.config import PRESETS, ShardConfig
from pipeline.errors import InputError
from pipeline.storage.urls import absolute, is_local


def parse_shard_config(arguments: list[str]) -> ShardConfig:
    """Read `[PRESET] [--flags]`; the output becomes absolute.

    Raises:
        InputError: the preset is unknown, a value is not allowed, or the output would be lost with the job's folder.
    """
    preset, flags = "tiny", arguments
    if arguments and not arguments[0].startswith("-"):
        preset, flags = arguments[0], arguments[1:]
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r}: give one of {', '.join(PRESETS)}, then --flags")
    default = PRESETS[preset]
    if any(flag == "--boxes" or flag.startswith("--boxes=") for flag in flags):
        default = replace(default, images=(), image_info=(), classes="", anonymous=False)
    config = tyro.cli(
        ShardConfig,
        args=flags,
        default=default,
        prog=f"shard_openimages.py [{'|'.join(PRESETS)}]",
        description=f"{ShardConfig.__doc__} Preset: {preset}. Run the same command again to go on.",
    )
    out = config.out or f"runs/{preset}"
    if is_local(out) and not Path(out).is_absolute() and _cwd_is_shipped():
        raise InputError(
            f"--out {out}: is relative, and Ray discards the folder that this job runs in; "
            "give an absolute path or a URL that every node can see"
        )
    return replace(config, out=absolute(out))


def _cwd_is_shipped() -> bool:
    """Tell whether Ray unpacked the working directory for this job alone."""
    return "working_dir_files" in Path.cwd().parts
