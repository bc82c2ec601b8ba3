"""Naming: `NAME[@LABEL][=PATH]` ... -> methods, each with a name of its own. Imports no torch.

What a method is called in the table:

- its NAME, such as `pbe`; what a stranger's says it is called; the NAME of `pictures=NAME:DIR`;
- where a LABEL is given, as in `pbe@ours=runs/a`, that;
- where several would be called the same, as of `pbe=runs/a pbe=runs/b`, also the end of each path: `pbe=a`, `pbe=b`.
"""

import importlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.methods.protocol import Edited, Method, MethodOptions
from pbe.evaluation.methods.strangers import open_stranger
from pipeline.errors import InputError
from schemas.scores import row_folder

MOST_CHARACTERS = 150  # of all of a method's rows; with what is added to them, disks take 255


@dataclass(frozen=True)
class Known:
    """A method of ours.

    Args:
        module, maker: in this room; called with name, argument and MethodOptions; of one that takes no argument, with
            its name alone.
        form: of its argument; empty: it takes none.
    """

    module: str
    maker: str
    form: str = ""


MODEL = "DIR|HUB"
_BY_EXAMPLE, _UNGUIDED = Known("by_example", "ByExample", MODEL), Known("by_example", "Unguided", MODEL)
KNOWN: dict[str, Known] = {
    "pbe": _BY_EXAMPLE,
    "naive": _UNGUIDED,  # and what the paper adds to it, one after the other; guidance comes last
    "+prior": _UNGUIDED,
    "+augmentation": _UNGUIDED,
    "+bottleneck": _UNGUIDED,
    "+guidance": _BY_EXAMPLE,
    "sd-inpaint": Known("stable_diffusion", "StableDiffusionInpainting", MODEL),
    "blended-text": Known("blended.method", "blended_text", "ADM,CLIP"),
    "blended-image": Known("blended.method", "blended_image", "ADM,CLIP"),
    "lama-paste-harmonize": Known("lama", "LamaPasteHarmonise", "LAMA[,DCCF]"),
    "copy-paste": Known("controls", "CopyPaste"),
    "identity": Known("controls", "Identity"),
    "ground-truth": Known("controls", "GroundTruth"),
    "random-exemplar": Known("random_exemplar", "RandomExemplar", MODEL),
    "pictures": Known("pictures", "open_pictures", "NAME:DIR"),
}


@dataclass(frozen=True)
class Spec:
    """One METHOD of the command line, taken apart.

    Args:
        text: as it was given.
        kind: a name of KNOWN, or `module:object`.
        argument: after `=`; None: there is none.
    """

    text: str
    kind: str
    label: str
    argument: str | None


class Named:
    """A method under another name."""

    def __init__(self, method: Method, name: str) -> None:
        self._method, self.name = method, name

    def available(self) -> str:
        return self._method.available()

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        return self._method.edit(cases)

    def __getattr__(self, what: str) -> Any:  # what else it says of itself
        if what.startswith("_"):
            raise AttributeError(what)
        return getattr(self._method, what)


class WithoutWeights:
    """A method whose weights nobody named."""

    def __init__(self, name: str, form: str) -> None:
        self.name, self._form = name, form

    def available(self) -> str:
        return f"no weights are named: give {self.name}={self._form}"

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        raise InputError(self.available())


def open_methods(specs: Sequence[str], options: MethodOptions) -> list[Method]:
    """Open the methods of a comparison, in their order. None of ours is loaded before it edits.

    A method without its weights is among them; its `available()` says why it cannot run. The same specs give the same
    names in every process.

    Raises:
        InputError: a name is unknown or stands twice, a path is missing where there must be one, or a stranger's
            object is no method. Names are looked at before any module of a stranger is imported.
    """
    parsed = [parse_spec(spec) for spec in specs]
    methods = [_open(spec, options) for spec in parsed]
    for spec, method in zip(parsed, methods, strict=True):
        _refuse_long(spec, method)
    names = _tell_apart(parsed, [spec.label or method.name for spec, method in zip(parsed, methods, strict=True)])
    return [method if method.name == name else Named(method, name) for method, name in zip(methods, names, strict=True)]


def parse_spec(text: str) -> Spec:
    """Take `NAME[@LABEL][=PATH]` or `module:object[@LABEL][=ARG]` apart.

    Raises:
        InputError: its name is unknown, or it has an argument that its method does not take.
    """
    head, equals, argument = text.partition("=")
    kind, at, label = head.partition("@")
    spec = Spec(text, kind, label.strip(), argument if equals else None)
    if at and row_folder(spec.label) == "_":
        raise InputError(f"{text}: the label after @ is empty; write a word of letters and digits there")
    if kind not in KNOWN:
        if ":" not in kind:
            raise _unknown(text, kind)
    elif spec.argument is not None and not KNOWN[kind].form:
        raise InputError(f"{text}: {kind} takes nothing; leave ={argument} out")
    return spec


def _open(spec: Spec, options: MethodOptions) -> Method:
    known = KNOWN.get(spec.kind)
    if known is None:
        return open_stranger(spec.kind, spec.argument)
    if known.form and not spec.argument:
        return WithoutWeights(spec.kind, known.form)
    make = getattr(importlib.import_module(f"pbe.evaluation.methods.{known.module}"), known.maker)
    method: Method = make(spec.kind, spec.argument, options) if known.form else make(spec.kind)
    return method


def _refuse_long(spec: Spec, method: Method) -> None:
    """Refuse a method whose rows could not name a folder together."""
    name = spec.label or method.name
    rows = " ".join(f"{name} {variant}" for variant in getattr(method, "variants", None) or ("",))
    if len(rows) > MOST_CHARACTERS:
        raise InputError(
            f"{spec.text[:60]}: {rows[:60]}... has {len(rows)} characters, too many for the name of a folder; label it "
            f"in fewer than {MOST_CHARACTERS}, as in {_labelled([spec.text])[:60]}, or shorten its variants"
        )


def _unknown(text: str, kind: str) -> InputError:
    near = get_close_matches(kind, KNOWN, n=1)
    if near:
        hint = f"did you mean {near[0]}?"
    elif Path(text).exists():
        hint = f"for a model that paints by example, give pbe={text}."
    else:
        hint = "one of your own is module:object."
    return InputError(f"{text}: no method is called {kind or 'nothing'}; {hint} There are {', '.join(sorted(KNOWN))}")


def _tell_apart(specs: Sequence[Spec], names: Sequence[str]) -> list[str]:
    """Give each method a name of its own: to those that share one, add the end of their paths.

    Raises:
        InputError: that does not tell them apart.
    """
    sharing = defaultdict(list)
    for spec, name in zip(specs, names, strict=True):
        sharing[row_folder(name).casefold()].append(spec)
    unique = [
        f"{name}={_end(spec, sharing[row_folder(name).casefold()])}"
        if len(sharing[row_folder(name).casefold()]) > 1 and not spec.label and spec.argument
        else name
        for spec, name in zip(specs, names, strict=True)
    ]
    counts = Counter(row_folder(name).casefold() for name in unique)
    twice = [spec.text for spec, name in zip(specs, unique, strict=True) if counts[row_folder(name).casefold()] > 1]
    if twice:
        raise InputError(f"{', '.join(twice)}: would have one name in the table; label them, as in {_labelled(twice)}")
    return unique


def _labelled(texts: Sequence[str]) -> str:
    head, equals, rest = texts[-1].partition("=")
    return f"{head.partition('@')[0]}@other{equals}{rest}"


def _end(spec: Spec, sharing: Sequence[Spec]) -> str:
    """Return the shortest end of a path that no other of these has: its last part, the last two ..."""
    parts = _parts(spec)
    others = [_parts(other) for other in sharing if other is not spec]
    for count in range(1, len(parts) + 1):
        if all(other[-count:] != parts[-count:] for other in others):
            return "/".join(parts[-count:])
    return "/".join(parts)


def _parts(spec: Spec) -> tuple[str, ...]:
    return tuple(part for part in Path(spec.argument or "").parts if part not in (".", "/"))
