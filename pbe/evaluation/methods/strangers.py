"""Strangers: `module:object[=ARG]` -> a method that somebody else wrote. Imports no torch, but what it opens may."""

import importlib
import re
import sys
import traceback
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

from pbe.evaluation.methods.protocol import Method, facts_of
from pipeline.errors import InputError

PLACE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
MEMBERS = ("name", "available", "edit")


def open_stranger(place: str, argument: str | None) -> Method:
    """Import a module and take its object: a method, or a class or function that makes one.

    The current folder is importable, after what is installed.

    Args:
        place: `module:object`, either with dots.
        argument: what the class or function is called with; None: with nothing.

    Raises:
        InputError: naming module and object, and what is wrong with them.
    """
    found = PLACE.fullmatch(place)
    if not found:
        raise InputError(f"{place}: give module:object, such as mine:Method; module is written as in `import`")
    made = _attribute(place, _import(place, found[1]), found[2])
    if isinstance(made, type) or (callable(made) and not _is_method(made)):
        made = _call(place, made, argument)
    elif argument is not None:
        raise InputError(f"{place}={argument}: it is a method already; leave ={argument} out")
    return _checked(place, made)


def _import(place: str, module: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise InputError(f"{place}: no module {error.name} here or installed; run it from its folder") from error
        raise _odd(place, f"importing {module} raises", error) from error
    except (Exception, SystemExit) as error:
        raise _odd(place, f"importing {module} raises", error) from error


def _attribute(place: str, module: Any, name: str) -> Any:
    try:
        return attrgetter(name)(module)
    except AttributeError as error:
        raise InputError(f"{place}: {module.__name__} ({module.__file__}) has no {name}") from error


def _call(place: str, make: Callable[..., Any], argument: str | None) -> Any:
    try:
        return make() if argument is None else make(argument)
    except (Exception, SystemExit) as error:
        shown = place if argument is None else f"{place}={argument}"
        raise _odd(shown, f"calling it {'without =ARG ' if argument is None else ''}raises", error) from error


def _is_method(made: object) -> bool:
    return all(hasattr(made, member) for member in MEMBERS)


def _checked(place: str, made: Any) -> Method:
    """Refuse what lacks a member of a method, or says odd things of itself."""
    lacks = [member for member in MEMBERS if not hasattr(made, member)]
    if lacks:
        raise InputError(f"{place}: a {type(made).__name__} without {', '.join(lacks)} is no method; see the protocol")
    if not isinstance(made.name, str) or not made.name.strip():
        raise InputError(f"{place}: its name is {made.name!r}; give a text")
    odd = [member for member in ("available", "edit") if not callable(getattr(made, member))]
    if odd:
        raise InputError(f"{place}: its {' and '.join(odd)} cannot be called; make it a function")
    try:
        facts_of(made)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    except Exception as error:
        raise _odd(place, "what it says of itself raises", error) from error
    method: Method = made
    return method


def _odd(place: str, doing: str, error: BaseException) -> InputError:
    """Describe in one line what a stranger's code raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    said = (str(error).strip().splitlines() or [""])[0][:200]
    return InputError(f"{place}: {doing} {type(error).__name__}{said and f': {said}'}{where}; repair it")
