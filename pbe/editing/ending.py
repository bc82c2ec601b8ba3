"""Ending: how an edit ended -> the lines that say so, what to look at, and what to run next. Imports no torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from pathlib import PurePosixPath

from pbe.editing.case import Case
from pbe.editing.config import EditConfig, parse_scales
from pbe.editing.outputs import CONTACT_SHEET, FORMATS, Outputs
from pipeline.hints import command_line, look_line, short_path

SCALES, SEEDS = "1,3,5,7", 4  # to compare next
NAMED_CASES = 3


def end_lines(
    config: EditConfig, cases: Sequence[Case], outputs: Outputs, *, todo: int, failed: int, seconds: float
) -> Iterator[str]:
    """Say how an edit ended.

    Args:
        todo: how many cases were not finished when it began.
        failed: how many of them still are not.
    """
    if not config.cases:
        if failed:
            return
        [case] = cases
        place = outputs.place(outputs.figure_of(case))
        made = f"{case.pictures} picture{'s' if case.pictures > 1 else ''}"
        yield f"{made} in {seconds:.0f} s, start-up included: {place}"
        if outputs.figure:  # --out is a folder; another one may hold anything
            yield look_line(outputs.folder.url)
        yield f"next: {command_of(_next(config))}"
        return
    yield (
        f"{len(cases)} cases: {len(cases) - todo} were finished, {todo - failed} made, {failed} failed, in "
        f"{seconds:.0f} s, start-up included: {outputs.folder.url}"
    )
    if failed < len(cases):
        yield f"contact sheet: {short_path(outputs.place(CONTACT_SHEET))}"
        yield look_line(outputs.folder.url)
    if failed:
        yield "fix what the messages name, and run the same command again: it makes those that are missing"
    else:
        yield f"next: {command_of(_next(config))}"


def strange_holes(config: EditConfig, sides: Mapping[str, float], *, seen: Mapping[str, float] | None) -> Iterator[str]:
    """Say which holes are smaller, and which larger, than 99 of 100 that the model was trained on, and what to do.

    Args:
        sides: by case, the hole's side as a share of what the model saw; see `pbe.weights.hole_sides`.
        seen: of the model's training; None: unknown, and nothing is said.
    """
    if seen is None:
        return
    whole = "leave --compat out" if config.compat else "leave --context whole out"
    larger = "give a larger source, with more around the hole"
    for than, usual, names, remedy in (
        ("less", f"{seen['1']:.2f} or more", [name for name, side in sides.items() if side < seen["1"]], whole),
        ("more", f"{seen['99']:.2f} or less", [name for name, side in sides.items() if side > seen["99"]], larger),
    ):
        if names:
            shown = [f"{sides[name]:.2f}{f' ({name})' if config.cases else ''}" for name in names[:NAMED_CASES]]
            others = f" and {len(names) - NAMED_CASES:,} more" if len(names) > NAMED_CASES else ""
            yield (
                f"hole of {', '.join(shown)}{others} of the side of what the model sees, {than} than in 99 of 100 "
                f"samples of its training ({usual}): {remedy}"
            )


def command_of(config: EditConfig) -> str:
    """Write the command that has this config, as short as it can be."""
    words, flags = ["python", "-m", "pbe.edit"], {}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.default is not MISSING and value == field.default:
            continue
        if value is True:
            words.append(f"--{field.name.replace('_', '-')}")
        else:
            flags[field.name] = value
    return command_line(*words, **flags)


def _next(config: EditConfig) -> EditConfig:
    """Choose what is worth a look after this: some guidance scales; after these, or for a table, some seeds of one."""
    scales = parse_scales(config.guidance)
    if len(scales) == 1 and not config.cases:
        return replace(config, guidance=SCALES, out=_beside(config.out, "guidance"))
    scale = f"{scales[len(scales) // 2]:g}"
    return replace(config, guidance=scale, n=SEEDS, overwrite=False, out=_beside(config.out, "seeds"))


def _beside(out: str, what: str) -> str:
    """Name another output beside this one, of the same kind."""
    suffix = PurePosixPath(out).suffix
    stem, kept = (out.removesuffix(suffix), suffix) if suffix.lower() in FORMATS else (out.rstrip("/"), "")
    return f"{stem}-{what}{kept}"
