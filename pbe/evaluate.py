#!/usr/bin/env python3
"""Evaluate: methods that edit by example and a bench -> pictures, scores, and a report with tables and figures.

python -m pbe.evaluate METHOD[=PATH]... --bench COCOEE_DIR|cases.csv --out RUN [--flags]
python -m pbe.evaluate METHOD[=PATH]... --bench-from DATASET --out RUN
python -m pbe.evaluate ablation [PRESET] --data DATASET --out RUN [--steps N] [--prior WEIGHTS] [--flags]
python -m pbe.evaluate mixture --features clip=DIR --real DIR --out mixture.npz
"""

import sys
from dataclasses import replace

import tyro

from pbe.evaluation.config import EvaluateConfig, MixtureConfig
from pipeline.command import guard, stop_on_sigterm
from pipeline.storage.urls import absolute_output

GO_ON = "finished parts are kept: run the same command again to go on"
ABLATION, MIXTURE = "ablation", "mixture"


def main(arguments: list[str]) -> int:
    """Compare as the command line says; return the exit code."""
    return guard(lambda: _evaluate(arguments), go_on=GO_ON)


def _evaluate(arguments: list[str]) -> int:
    if arguments[:1] == [MIXTURE]:
        prog = f"python -m pbe.evaluate {MIXTURE}"
        config = tyro.cli(MixtureConfig, args=arguments[1:], prog=prog, description=MixtureConfig.__doc__)
        from pbe.evaluation.running.real_features import fit_real_mixture

        return fit_real_mixture(config)
    if arguments[:1] == [ABLATION]:
        from pbe.evaluation.ablation.config import parse_ablation

        ablation = parse_ablation(arguments[1:])
        from pbe.evaluation.ablation.run import ablate

        return ablate(ablation)
    from pbe.evaluation.running.run import compare

    return compare(parse_evaluate_config(arguments, prog="python -m pbe.evaluate"))


def parse_evaluate_config(arguments: list[str], *, prog: str) -> EvaluateConfig:
    """Read the flags; the output becomes absolute.

    Raises:
        InputError: a value or combination is not allowed.
    """
    config = tyro.cli(EvaluateConfig, args=arguments, prog=prog, description=EvaluateConfig.__doc__)
    return replace(config, out=absolute_output("--out", config.out))


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main(sys.argv[1:]))
