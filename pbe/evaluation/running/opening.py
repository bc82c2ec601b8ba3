"""Opening: the command's flags -> the comparison they mean, with all that is wrong with it said first. Imports no torch
before an encoder is opened.
"""

from dataclasses import replace

from tqdm import tqdm

from pbe.editing.case_checks import refuse_faults
from pbe.editing.checks import has_gpu_driver
from pbe.evaluation.bench.cases import Bench
from pbe.evaluation.bench.cut_note import TABLE
from pbe.evaluation.bench.cutting import BENCH_FOLDER, cut_bench
from pbe.evaluation.bench.digests import Digests, digest_files, digest_of_bench
from pbe.evaluation.bench.opening import open_bench
from pbe.evaluation.bench.preflight import check_bench
from pbe.evaluation.config import EvaluateConfig
from pbe.evaluation.methods.attempts import why_not
from pbe.evaluation.methods.naming import open_methods
from pbe.evaluation.methods.protocol import Method, MethodOptions, facts_of
from pbe.evaluation.running.comparison import Comparison, refuse_twins
from pbe.evaluation.running.output import CACHE, digests_if_checked
from pipeline.storage.folder import Folder


def cut_from_dataset(config: EvaluateConfig) -> EvaluateConfig:
    """Cut the bench that --bench-from asks for, unless it is there; return the config of that bench.

    Raises:
        InputError: the dataset has no such split, or its photos are not there.
    """
    with tqdm(desc="cutting cases", unit="case", mininterval=1) as bar:
        cut_bench(
            config.bench_from,
            config.out,
            split=config.split,
            exemplar=config.exemplar,
            images=config.images,
            limit=config.limit,
            seed=config.seed,
            say=tqdm.write,
            progress=lambda cases: bar.update(cases - bar.n),
        )
    table = f"{config.out.rstrip('/')}/{BENCH_FOLDER}/{TABLE}"
    return replace(config, bench=table, bench_from="", limit=0, split="validation", exemplar="other", images=())


def open_checked_bench(config: EvaluateConfig) -> tuple[Bench, Digests]:
    """Open the bench, look at all its files, and digest them.

    Raises:
        InputError: naming everything that is wrong with it.
    """
    bench = open_bench(config.bench, annotations=config.annotations, limit=config.limit, seed=config.seed)
    refuse_faults(bench.faults, place=f"--bench {config.bench}")
    if digests := digests_if_checked(Folder(config.out), bench):
        return bench, digests
    with tqdm(total=len(bench.cases), desc="looking at the cases", unit="case", mininterval=1, leave=False) as bar:
        faults = check_bench(bench, progress=lambda cases: bar.update(cases - bar.n))
    refuse_faults(faults, place=f"--bench {config.bench}")
    return bench, digest_files(bench)


def check_methods(config: EvaluateConfig) -> None:
    """Refuse methods that cannot be, before anything is cut or read.

    Raises:
        InputError: a method is unknown, or two would have one name.
    """
    open_methods(config.methods, options_of(config))


def open_comparison(config: EvaluateConfig, bench: Bench, digests: Digests) -> Comparison:
    """Open the methods of a comparison; those that cannot run are set aside with the reason.

    Args:
        digests: of the bench's files.

    Raises:
        InputError: a method is unknown, or two would share files.
    """
    methods: list[Method] = []
    unavailable = []
    for method in open_methods(config.methods, options_of(config)):
        if reason := why_not(method) or _lacks(method, bench):
            unavailable.append((method.name, reason))
        else:
            methods.append(method)
    comparison = Comparison(
        out=Folder(config.out),
        bench=bench,
        digest=digest_of_bench(bench, digests),
        methods=tuple(methods),
        unavailable=tuple(unavailable),
        scales=config.scales,
        batch=config.batch,
    )
    refuse_twins(comparison)
    return comparison


def _lacks(method: Method, bench: Bench) -> str:
    """Say what a method needs that no case of a bench has; empty: nothing."""
    lacking = [what for what in facts_of(method).needs if not any(getattr(case, what, "") for case in bench.cases)]
    return f"no case of this bench has a {lacking[0].replace('_', ' ')}" if lacking else ""


def options_of(config: EvaluateConfig) -> MethodOptions:
    """Say to methods what the flags say; where no device is named, one that is there."""
    device = config.device or ("cuda" if has_gpu_driver() else "cpu")
    dtype = config.dtype if config.dtype != "auto" else "float16" if device.startswith("cuda") else "float32"
    cache = Folder(config.out)
    return MethodOptions(
        device=device,
        dtype=dtype,
        steps=config.steps,
        scheduler=config.scheduler,
        cache=cache.path(CACHE) if cache.local else "",
    )
