"""Commands of the shard job: a command line -> a config."""

from dataclasses import replace
from pathlib import Path

from pipeline.command import is_given, parse_preset
from pipeline.config import PRESETS, ShardConfig
from pipeline.errors import InputError
from pipeline.storage.urls import absolute_output, is_local


def parse_shard_config(arguments: list[str]) -> ShardConfig:
    """Read `[PRESET] [--flags]`; the output becomes absolute.

    Raises:
        InputError: the preset is unknown, a value is not allowed, or the output would be lost with the job's folder.
    """
    preset, config = parse_preset(ShardConfig, PRESETS, arguments, prog="shard_openimages.py", adapt=_without_inputs)
    out = config.out or f"runs/{preset}"
    place = absolute_output("--out", out)
    if is_local(place) and Path(place).is_relative_to(Path.cwd()) and _cwd_is_shipped():
        raise InputError(
            f"--out {out}: lies where this job runs, and Ray discards the folder that this job runs in; "
            "give an absolute path or a URL that every node can see"
        )
    return replace(config, out=place)


def _without_inputs(default: ShardConfig, flags: list[str]) -> ShardConfig:
    """Clear what belongs to the preset's tables where --boxes gives others."""
    if is_given("--boxes", flags):
        return replace(default, images=(), image_info=(), classes="", anonymous=False)
    return default


def _cwd_is_shipped() -> bool:
    """Whether Ray unpacked the working directory for this job alone."""
    return "working_dir_files" in Path.cwd().parts
