#!/usr/bin/env python3
"""App: a model -> a page at 127.0.0.1 where one paints by example, until Ctrl-C.

python -m pbe.app --model MODEL [--flags]
"""

import importlib.util
import sys

import tyro

from pbe.editing.checks import check_model
from pbe.painting.config import FIRST_PORT, LAST_PORT, PaintingConfig
from pipeline.command import guard, stop_on_sigterm
from pipeline.errors import InputError
from pipeline.serving.ports import bind_port


def main(arguments: list[str]) -> int:
    """Serve the page as the command line says; return the exit code."""
    return guard(lambda: _serve(arguments), go_on="downloads are kept, nothing else of what was painted")


def _serve(arguments: list[str]) -> int:
    config = tyro.cli(PaintingConfig, args=arguments, prog="python -m pbe.app")
    check_model(config.edits("edited.png"))
    if importlib.util.find_spec("gradio") is None:
        raise InputError("gradio is not installed: pip install 'pbe-pretrain[app]'; pbe.edit needs none")
    with bind_port(config.port or None, first=FIRST_PORT, last=LAST_PORT) as listener:
        print("importing torch and gradio", flush=True)  # which --help and refusals need not wait for
        from pbe.painting.server import serve

        return serve(config, listener)


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main(sys.argv[1:]))
